/**
 * Write Danube connectors in TypeScript: a thin client of the Danube sidecar.
 *
 * {@link runSink} writes records from Danube to an external system; {@link runSource} reads them from one.
 */
export {
  Busy,
  ConnectorError,
  Fatal,
  Filtered,
  RecordRejected,
  RecordTooLarge,
  Reject,
  Retry,
  SourceStopped,
  type BusyOptions,
  type FailureOptions,
  type RetryOptions,
} from "./errors.js";
export type { Log } from "./log.js";
export type { ConnectorHooks, ConnectorOptions, Settings } from "./options.js";
export { SidecarError } from "./sidecar-error.js";
export { SinkRecord, type Schema, type SinkRecordFields } from "./sink/record.js";
export { runSink } from "./sink/run.js";
export type { BatchSink, Outcome, RecordSink, RetrySettings, Sink, SinkOptions, Subscription } from "./sink/sink.js";
export { runSource } from "./source/run.js";
export type {
  Emitted,
  Emitter,
  PollSource,
  Polled,
  Position,
  Producer,
  PushSource,
  Rejection,
  Source,
  SourceHooks,
  SourceOptions,
  SourceRecord,
} from "./source/source.js";
export { VERSION } from "./version.js";
