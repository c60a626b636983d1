// Waiting for conditions.

interface Waiter {
  holds(): boolean;
  settle(held: boolean): void;
}

/**
 * Lets tasks wait until a condition holds. Whoever changes something that a condition may depend on
 * calls `notify`.
 */
export class Changes {
  private readonly waiters = new Set<Waiter>();
  private readonly watchers: (() => void)[] = [];

  /** Something has changed. */
  notify(): void {
    for (const watch of this.watchers) watch();
    for (const waiter of this.waiters) {
      if (waiter.holds()) waiter.settle(true);
    }
  }

  /** Calls `watch` at every change, before those who wait. */
  onNotify(watch: () => void): void {
    this.watchers.push(watch);
  }

  /** Ends with true as soon as the condition holds, or with false after `limit` milliseconds. */
  until(holds: () => boolean, limit?: number): Promise<boolean> {
    if (holds()) return Promise.resolve(true);
    return new Promise((resolve) => {
      const waiter: Waiter = {
        holds,
        settle: (held) => {
          clearTimeout(timer);
          this.waiters.delete(waiter);
          resolve(held);
        },
      };
      const timer = limit === undefined ? undefined : setTimeout(() => waiter.settle(false), limit);
      this.waiters.add(waiter);
    });
  }
}
