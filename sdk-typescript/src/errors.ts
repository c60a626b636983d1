// What connectors throw, and what `runSink` and `runSource` fail with.

/** Options of what a connector throws. */
export interface FailureOptions extends ErrorOptions {
  /** A short constant in UPPER_SNAKE, for metrics and dead letters. Default: the kind, such as `RETRY`. */
  code?: string;
}

/** Options of {@link Retry}. */
export interface RetryOptions extends FailureOptions {
  /** Not before so many milliseconds have passed. Default: the sidecar's backoff. */
  after?: number;
}

/** Options of {@link Busy}. */
export interface BusyOptions extends FailureOptions {
  /** How many milliseconds nothing is written. Default: 1000. */
  after?: number;
}

/** What {@link Retry}, {@link Busy}, {@link Reject}, {@link Filtered} and {@link Fatal} have in common. */
export abstract class ConnectorError extends Error {
  /** A short constant in UPPER_SNAKE, for metrics and dead letters. */
  readonly code: string;

  /** `message` is for the operator: never put payloads or secrets there. */
  constructor(message: string, code: string, options?: ErrorOptions) {
    super(message, options);
    this.name = new.target.name;
    this.code = code;
  }
}

/** The record was not written, for a reason that passes: it is offered again. */
export class Retry extends ConnectorError {
  /** Not before so many milliseconds have passed; undefined: the sidecar's backoff. */
  readonly after: number | undefined;

  /** Throws a RangeError where `after` is no time to wait. */
  constructor(message: string, options: RetryOptions = {}) {
    super(message, options.code ?? "RETRY", options);
    this.after = wait("Retry", options.after);
  }
}

/**
 * The external system takes nothing at present, whatever the record: a rate limit (HTTP 429, 503),
 * maintenance, a failover. Never an attempt of a record. Nothing more is written until `after` has passed:
 * what is in hand is handed back without a call, and the sidecar goes on with one small batch then.
 */
export class Busy extends ConnectorError {
  /** How many milliseconds nothing is written; undefined: 1000. */
  readonly after: number | undefined;

  /** Throws a RangeError where `after` is no time to wait. */
  constructor(message: string, options: BusyOptions = {}) {
    super(message, options.code ?? "BUSY", options);
    this.after = wait("Busy", options.after);
  }
}

function wait(what: string, after: number | undefined): number | undefined {
  if (after !== undefined && !(after >= 0 && after <= Number.MAX_SAFE_INTEGER)) {
    throw new RangeError(`${what}: after is ${after}: expected milliseconds, 0 or more`);
  }
  return after;
}

/** The record can never be written: it becomes a dead letter. */
export class Reject extends ConnectorError {
  constructor(message: string, options: FailureOptions = {}) {
    super(message, options.code ?? "REJECTED", options);
  }
}

/** The record is deliberately not written: it is done, and counted apart. */
export class Filtered extends ConnectorError {
  constructor(message: string, options: FailureOptions = {}) {
    super(message, options.code ?? "FILTERED", options);
  }
}

/** The connector cannot go on: the sidecar is told, and the run fails with this error. */
export class Fatal extends ConnectorError {
  constructor(message: string, options: FailureOptions = {}) {
    super(message, options.code ?? "FATAL", options);
  }
}

/** A record that was emitted can never be published; the sidecar made a dead letter of it. */
export class RecordRejected extends Error {
  override readonly name = "RecordRejected";

  constructor(
    /** Why: `TOO_LARGE`, `UNDECLARED_TOPIC`, `SCHEMA_MISMATCH` or a later code. */
    readonly code: string,
    message: string,
  ) {
    super(message);
  }
}

/** A record is larger than any frame that the sidecar accepts. */
export class RecordTooLarge extends Error {
  override readonly name = "RecordTooLarge";

  constructor(bytes: number, limit: number) {
    super(`a record has ${bytes} bytes, and the sidecar accepts frames of at most ${limit}: split it, or skip it`);
  }
}

/** The source has stopped: the record was not taken, or is not known to be committed. */
export class SourceStopped extends Error {
  override readonly name = "SourceStopped";

  constructor() {
    super("the source has stopped; records that are not committed are to be read again at the next start");
  }
}
