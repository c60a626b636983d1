// Being asked to stop, or having to.

import type { Changes } from "./changes.js";
import type { Log } from "./log.js";
import type { ConnectorOptions } from "./options.js";

const DEFAULT_TIMEOUT = 10_000;
const SIGNALS: readonly NodeJS.Signals[] = ["SIGTERM", "SIGINT"];

/** Whether a connector was asked to stop, or cannot go on, and how much time is left. */
export class Stop {
  private readonly asked = new AbortController();
  private readonly late = new AbortController();
  private readonly timeout: number;
  private why: Error | undefined;
  private timer: NodeJS.Timeout | undefined;

  constructor(
    private readonly options: ConnectorOptions,
    private readonly log: Log,
    private readonly changes: Changes,
  ) {
    this.timeout = options.stopTimeout ?? DEFAULT_TIMEOUT;
  }

  /** Whether nothing new is to be begun. */
  get requested(): boolean {
    return this.asked.signal.aborted;
  }

  /** Aborted when nothing new is to be begun. */
  get signal(): AbortSignal {
    return this.asked.signal;
  }

  /** Whether the time to finish is over. */
  get overdue(): boolean {
    return this.late.signal.aborted;
  }

  /** Aborted when the time to finish is over. */
  get deadline(): AbortSignal {
    return this.late.signal;
  }

  /** Why the connector cannot go on. */
  get failure(): Error | undefined {
    return this.why;
  }

  /** Asks for it. The time to finish begins with the first call. */
  readonly request = (): void => {
    if (this.requested) return;
    this.timer = setTimeout(() => {
      this.late.abort();
      this.changes.notify();
    }, this.timeout);
    this.asked.abort();
    this.changes.notify();
  };

  /** The connector cannot go on. The first reason counts. */
  fail(why: Error): void {
    this.why ??= why;
    this.request();
    this.changes.notify();
  }

  /** Listens to signals and to the caller's AbortSignal; returns how to cease. */
  listen(): () => void {
    const { signal, handleSignals = true } = this.options;
    if (signal?.aborted) this.request();
    signal?.addEventListener("abort", this.request);
    if (handleSignals) for (const name of SIGNALS) process.on(name, this.onSignal);
    return () => {
      signal?.removeEventListener("abort", this.request);
      this.ignoreSignals();
      clearTimeout(this.timer);
    };
  }

  /** The first signal stops; without a listener the second one ends the process, as is the default. */
  private readonly onSignal = (name: NodeJS.Signals): void => {
    this.ignoreSignals();
    this.log.info(`${name}: finishing what is in hand`);
    this.request();
  };

  private ignoreSignals(): void {
    for (const name of SIGNALS) process.removeListener(name, this.onSignal);
  }
}
