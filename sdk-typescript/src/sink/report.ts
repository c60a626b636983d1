// Answers on their way to the sidecar.

import type { DeliveryRange, SinkFailure, SinkResults } from "../gen/danube/connector/v1/sink.js";

/** Answers wait for company at most so many milliseconds … */
const PATIENCE = 50;
/** … and no more failures than this go into one frame, which bounds its size. */
const MOST_FAILURES = 1000;

/** Answers that were not sent yet. */
export class Report {
  private acked: DeliveryRange[] = [];
  private failures: SinkFailure[] = [];
  private since = 0;
  private timer: NodeJS.Timeout | undefined;

  /** `send` ends when there is room for more, and never fails. */
  constructor(private readonly send: (results: SinkResults) => Promise<void>) {}

  /** Whether what is there has waited long enough. */
  get due(): boolean {
    return this.timer !== undefined && performance.now() - this.since >= PATIENCE;
  }

  /** The record was written. Only ids that follow each other share a range: those between were not asked for. */
  written(id: bigint): void {
    const range = this.acked.at(-1);
    if (range !== undefined && range.last + 1n === id) range.last = id;
    else this.acked.push({ first: id, last: id });
    this.wait();
  }

  /** The record was not written. */
  failed(failure: SinkFailure): void {
    this.failures.push(failure);
    this.wait();
  }

  /** Sends what is there. */
  async flush(): Promise<void> {
    clearTimeout(this.timer);
    this.timer = undefined;
    const { acked, failures } = this;
    this.acked = [];
    this.failures = [];
    if (acked.length + failures.length === 0) return;
    await this.send({ acked, failures: failures.slice(0, MOST_FAILURES) });
    for (let at = MOST_FAILURES; at < failures.length; at += MOST_FAILURES) {
      await this.send({ acked: [], failures: failures.slice(at, at + MOST_FAILURES) });
    }
  }

  /** Forgets what is there. */
  drop(): void {
    clearTimeout(this.timer);
    this.timer = undefined;
    this.acked = [];
    this.failures = [];
  }

  private wait(): void {
    if (this.timer !== undefined) return;
    this.since = performance.now();
    this.timer = setTimeout(() => void this.flush(), PATIENCE);
  }
}
