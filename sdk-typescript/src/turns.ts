/** Calls that must not overlap: each waits for those before it. */
export class Turns {
  private last: Promise<unknown> = Promise.resolve();
  private pending = 0;

  /** Whether no call is running or waiting. */
  get idle(): boolean {
    return this.pending === 0;
  }

  /** Makes the call when its turn has come. */
  take<T>(call: () => T | Promise<T>): Promise<T> {
    this.pending += 1;
    const turn = this.last.then(call);
    const over = (): void => {
      this.pending -= 1;
    };
    this.last = turn.then(over, over);
    return turn;
  }
}
