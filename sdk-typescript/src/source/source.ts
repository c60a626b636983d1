// What a source implements, and its options.

import type { ConnectorHooks, ConnectorOptions } from "../options.js";

/** A place in the external system up to which a source has read. */
export interface Position {
  /** The sequence that `offset` counts in: a file, a table, a topic. Any name that is stable across restarts. */
  sourcePartition: string;
  /** Where in that sequence; 0 to 2^64-1. The sidecar stores it and never computes with it. */
  offset: bigint;
  /** Whatever else is needed to resume there. */
  metadata?: string | undefined;
}

/** One message to publish. */
export interface SourceRecord {
  /** One of the producers' topics. May be left out where there is only one. */
  topic?: string;
  /** The message; text is sent as UTF-8. */
  payload: Uint8Array | string;
  /** The routing key: chooses the partition, and what the record keeps its order with. */
  key?: string | undefined;
  /** Attributes for consumers. Names that begin with `x-source-` are the sidecar's. */
  attributes?: Readonly<Record<string, string>>;
  /** Where the record stands in the external system; it comes back in `commit` and `restore`. */
  position?: Position | undefined;
}

/** A record that can never be published. The sidecar makes a dead letter of it, and goes on. */
export interface Rejection {
  /** `TOO_LARGE`, `UNDECLARED_TOPIC`, `SCHEMA_MISMATCH` or a later code. */
  code: string;
  /** What was wrong and what was expected. */
  message: string;
  /** The record. */
  record: SourceRecord;
}

/** Hooks that every source may have. What they throw is logged, unless it is a {@link Fatal}. */
export interface SourceHooks extends ConnectorHooks {
  /**
   * Called once, after `open` and before the first record, with the last committed position of every source
   * partition: go on behind them. What it throws ends the run.
   */
  restore?(positions: Position[]): void | Promise<void>;

  /** Records with these positions are safe in Danube. In order; never while `poll` runs. */
  commit?(positions: Position[]): void | Promise<void>;

  /** A record can never be published. It is among the committed ones later. Never while `poll` runs. */
  rejected?(rejection: Rejection): void | Promise<void>;
}

/** What a poll brings: records, none at the moment (`[]`), the last ones, or none ever again (`undefined`). */
export type Polled = SourceRecord[] | { last: SourceRecord[] } | undefined;

/** A source that is asked for records. */
export interface PollSource extends SourceHooks {
  /**
   * The next records. Called when Danube wants some, never twice at the same time; `commit` waits while it
   * runs, so it should return soon. `signal` comes when the source stops. What it throws is logged, and it is
   * called again later; a {@link Fatal} ends the run.
   */
  poll(signal: AbortSignal): Polled | Promise<Polled>;
}

/** A source whose external system pushes. */
export interface PushSource extends SourceHooks {
  /**
   * Emits records until the signal comes, or until there are no more ever. What it throws ends the run.
   * Called once.
   */
  stream(emitter: Emitter, signal: AbortSignal): void | Promise<void>;
}

/** Reads records from an external system, for Danube. */
export type Source = PollSource | PushSource;

/** A record that was taken. */
export interface Emitted {
  /**
   * Resolves when the record is safe in Danube. Rejects with {@link RecordRejected} where it can never be
   * published, and with {@link SourceStopped} where it is not known to be safe when the source stops.
   */
  readonly committed: Promise<void>;
}

/** Takes records of a {@link PushSource}. */
export interface Emitter {
  /**
   * Waits until there is room, and takes the record; calls are served in their order. Rejects with
   * {@link RecordTooLarge}, or with {@link SourceStopped}.
   */
  emit(record: SourceRecord): Promise<Emitted>;

  /** Takes the record if there is room now; else returns undefined. Throws as `emit` rejects. */
  tryEmit(record: SourceRecord): Emitted | undefined;

  /**
   * Whether a sidecar is there that takes records. Where none is there is no room either: this tells one that
   * is away (an HTTP source answers 503) from one that has enough for now (429).
   */
  readonly connected: boolean;
}

/** A Danube topic to publish to. */
export interface Producer {
  /** The topic, as `/namespace/topic`. It is created where it does not exist. */
  topic: string;
  /** The number of partitions. Default: a topic without partitions. */
  partitions?: number;
  /** Whether Danube keeps messages until they are acked. Default: true. */
  reliable?: boolean;
  /** The schema subject whose latest version is attached to each message. Default: none. */
  schemaSubject?: string;
}

/** Options of {@link runSource}. The operator's file at the sidecar wins over them. */
export interface SourceOptions extends ConnectorOptions {
  /** Topics to publish to, unless the operator's file names producers. */
  producers?: Producer[];
  /** How many milliseconds to rest after a poll that brought nothing. Default: 100. */
  pollInterval?: number;
}
