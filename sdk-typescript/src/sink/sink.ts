// What a sink implements, and its options.

import type { ConnectorHooks, ConnectorOptions } from "../options.js";
import type { SinkRecord } from "./record.js";

/**
 * What became of a record: it is durable in the external system, or an error says why not. {@link Retry},
 * {@link Busy}, {@link Reject} and {@link Filtered} say what follows; any other error counts as a retry with the code
 * `EXCEPTION`. {@link Fatal} stops the sink.
 */
export type Outcome = "written" | Error;

/** A sink that writes one record at a time. */
export interface RecordSink extends ConnectorHooks {
  /**
   * Writes a record. When it returns, the record is durable in the external system; what it throws is the
   * record's outcome. `signal` comes when the sink stops and its time is over: the outcome is not awaited.
   */
  process(record: SinkRecord, signal: AbortSignal): void | Promise<void>;
}

/** A sink that writes many records at once. */
export interface BatchSink extends ConnectorHooks {
  /**
   * Writes records, and returns one outcome for each, in their order (a Fatal may be the last one: it leaves
   * those behind it unanswered). What it throws is the outcome of every record. Records of one key are in
   * order; when one of them is to be retried, those behind it should be, too.
   */
  processBatch(records: SinkRecord[], signal: AbortSignal): Outcome[] | Promise<Outcome[]>;
}

/** Writes records from Danube to an external system. It is never called twice at the same time. */
export type Sink = RecordSink | BatchSink;

/** A Danube subscription. */
export interface Subscription {
  /** The topic, as `/namespace/topic`. All its partitions are consumed. */
  topic: string;
  /** The subscription's name. Default: the connector's name. */
  subscription?: string;
  /** How consumers share it. Default: `exclusive`. `key-shared` is refused unless the operator allows it. */
  type?: "exclusive" | "shared" | "failover" | "key-shared";
  /** The consumer's name, unique within the subscription. Default: the connector's name. */
  consumerName?: string;
  /** Glob patterns of routing keys; `key-shared` only. */
  keyFilters?: string[];
}

/** How failed records are retried. The sidecar does it. */
export interface RetrySettings {
  /** Failed attempts after the first one before a record counts as exhausted. Default: 3. */
  maxRetries?: number;
  /** Milliseconds before the first retry; doubled for each further one. Default: 1000. */
  initialBackoff?: number;
  /** Most milliseconds between two tries. Default: 30 000. */
  maxBackoff?: number;
}

/** Options of {@link runSink}. The operator's file at the sidecar wins over them; defaults are the sidecar's. */
export interface SinkOptions extends ConnectorOptions {
  /** What to consume, unless the operator's file names subscriptions. */
  subscriptions?: Subscription[];
  /** Most records in hand. Default: 1000. */
  windowRecords?: number;
  /** Most encoded bytes in hand; one record always passes. Default: 16 MiB. */
  windowBytes?: number;
  /** Most records in a batch. Default: half the window, and 1000 at most. */
  maxBatchRecords?: number;
  /** Most encoded bytes in a batch. Default: 1 MiB. */
  maxBatchBytes?: number;
  /** How many milliseconds a batch that is not full may wait for more records. Default: 0. */
  linger?: number;
  /** Which records wait for each other: those of a key, those of a partition, or none. Default: `key`. */
  ordering?: "key" | "partition" | "none";
  /** How failed records are retried. */
  retry?: RetrySettings;
}
