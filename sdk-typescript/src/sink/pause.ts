// How long the external system is left alone.

import { Busy } from "../errors.js";

/** Milliseconds that a {@link Busy} without `after` means. */
const DEFAULT = 1000;

/**
 * The external system said that it takes nothing: until then each record is handed back without a call. It
 * outlives sessions, as the external system does not care for them.
 */
export class Pause {
  private until = 0;
  private said = new Busy("");

  /** Leaves it alone for as long as it asked; never for less than it asked before. */
  begin(busy: Busy, now = performance.now()): void {
    const until = now + (busy.after ?? DEFAULT);
    if (until <= this.until) return;
    this.until = until;
    this.said = busy;
  }

  /** What is answered meanwhile: what it said, for what is left of the time. Undefined: it may be called. */
  left(now = performance.now()): Busy | undefined {
    const after = this.until - now;
    return after > 0 ? new Busy(this.said.message, { code: this.said.code, after }) : undefined;
  }
}
