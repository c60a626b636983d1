// What a source hears of its records.

import { Fatal } from "../errors.js";
import type { Runtime } from "../runtime.js";
import { asError, codeOf } from "../text.js";
import type { Entry } from "./outbox.js";
import type { Position, Rejection, SourceHooks } from "./source.js";

/** A source that does not keep up with so many notices gets no more demand. */
const MOST = 10_000;

/** Tells a source what became of its records, in order, and never while it is polled. */
export class Notices {
  private waiting: (Position | Rejection)[] = [];
  private telling = false;

  constructor(
    private readonly source: SourceHooks,
    private readonly runtime: Runtime,
  ) {}

  /** Whether the source knows everything. */
  get told(): boolean {
    return !this.telling && this.waiting.length === 0;
  }

  /** Whether the source is far behind. */
  get crowded(): boolean {
    return this.waiting.length >= MOST;
  }

  /** These records are safe. */
  committed(entries: readonly Entry[]): void {
    for (const { position, settle } of entries) {
      settle?.();
      if (position !== undefined && this.source.commit !== undefined) this.waiting.push(position);
    }
    void this.tell();
  }

  /** A record can never be published. */
  rejected(rejection: Rejection): void {
    if (this.source.rejected === undefined) return;
    this.waiting.push(rejection);
    void this.tell();
  }

  private async tell(): Promise<void> {
    if (this.telling) return;
    this.telling = true;
    while (this.waiting.length > 0) {
      await this.runtime.turns.take(() => this.next());
      this.runtime.changes.notify();
    }
    this.telling = false;
    this.runtime.changes.notify();
  }

  /** Calls one hook: `rejected` for a rejection, or `commit` for all positions up to the next one. */
  private async next(): Promise<void> {
    const first = this.waiting[0];
    if (first === undefined) return;
    try {
      if (isRejection(first)) {
        this.waiting.shift();
        await this.source.rejected?.(first);
      } else {
        const until = this.waiting.findIndex(isRejection);
        const positions = this.waiting.splice(0, until < 0 ? this.waiting.length : until);
        await this.source.commit?.(positions as Position[]);
      }
    } catch (thrown) {
      const error = asError(thrown);
      if (error instanceof Fatal) this.runtime.stop.fail(error);
      else this.runtime.log.warn(`a hook failed (${codeOf(error)}); the records are safe in Danube all the same`);
    }
  }
}

function isRejection(notice: Position | Rejection): notice is Rejection {
  return "code" in notice;
}
