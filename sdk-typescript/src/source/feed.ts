// Where a source's records come from.

import type { Runtime } from "../runtime.js";
import { encoded } from "./convert.js";
import type { Notices } from "./notices.js";
import type { Entry, Outbox } from "./outbox.js";
import type { SourceRecord } from "./source.js";

/** Puts a source's records into its outbox, for as long as it runs. */
export interface Feed {
  /** Whether no more records will come, ever. */
  readonly ended: boolean;
  /** Whether no more records will come once the source was asked to stop. */
  readonly quiet: boolean;
  /** Whether nothing of the source runs any more. */
  readonly done: boolean;
  /** Runs until the source ends, stops or fails; it never throws. */
  run(): Promise<void>;
}

/** What a feed works with. */
export interface FeedParts {
  outbox: Outbox;
  notices: Notices;
  runtime: Runtime;
}

/** Whether another record can be taken. */
export function hasRoom({ outbox, notices }: FeedParts): boolean {
  return outbox.hasRoom && !notices.crowded;
}

/** A record for the outbox. Throws where it cannot be encoded, and RecordTooLarge where no frame can carry it. */
export function entryOf(record: SourceRecord, outbox: Outbox, settle?: Entry["settle"]): Entry {
  const position = record.position && { ...record.position };
  const entry = { bytes: encoded(record), position, ...(settle && { settle }) };
  outbox.check(entry);
  return entry;
}
