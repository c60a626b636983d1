// Trying again, for as long as it takes.

import type { Log } from "./log.js";
import type { SidecarError } from "./sidecar-error.js";

const FIRST_BACKOFF = 100;
const LONGEST_BACKOFF = 10_000;
/** A session that lasted this long was a good one: the next try comes soon. */
const GOOD_SESSION = 5_000;
/** How often a sidecar that cannot be reached is worth a line. */
const SILENCE = 30_000;

/** A time to wait in milliseconds: exponential with full jitter. */
export function backoff(failures: number, random = Math.random): number {
  return random() * Math.min(LONGEST_BACKOFF, FIRST_BACKOFF * 2 ** failures);
}

/** Decides when to dial again, and when to say so. Times are milliseconds of a clock that never goes back. */
export class Patience {
  private failures = 0;
  private openedAt: number | undefined;
  private silentUntil = -Infinity;

  constructor(
    private readonly address: string,
    private readonly log: Log,
    private readonly now: () => number = () => performance.now(),
    private readonly random: () => number = Math.random,
  ) {}

  /** A session is open. */
  opened(sessionId: string): void {
    this.openedAt = this.now();
    this.log.info(`session ${sessionId} with the sidecar at ${this.address} is open`);
  }

  /** A try failed, or a session was lost. Tells how many milliseconds to wait before the next try. */
  failed(error: SidecarError): number {
    const opened = this.openedAt;
    this.openedAt = undefined;
    if (opened !== undefined && this.now() - opened >= GOOD_SESSION) {
      this.failures = 0;
      this.silentUntil = -Infinity;
    }
    this.tell(error, opened !== undefined);
    const wait = Math.max(backoff(this.failures, this.random), error.retryAfter ?? 0);
    this.failures += 1;
    return wait;
  }

  private tell(error: SidecarError, wasOpen: boolean): void {
    if (wasOpen) {
      this.log.info(`${error.message}; opening another`);
      return;
    }
    if (this.now() < this.silentUntil) return;
    this.silentUntil = this.now() + SILENCE;
    this.log.warn(`${error.message}; trying again until it works`);
  }
}
