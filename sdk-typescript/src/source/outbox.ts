// Records that were read and are not committed yet.
//
// They stay here until the sidecar says that they are safe, so that a lost session costs nothing: the next one
// gets them again, numbered from one. What is here is bounded by the sidecar's demand, plus one poll.

import { RecordTooLarge } from "../errors.js";
import type { SourceDemand } from "../gen/danube/connector/v1/source.js";
import { SidecarError } from "../sidecar-error.js";
import { recordsFrame } from "./convert.js";
import type { Position } from "./source.js";

/** A frame is closed at this size, in bytes, to keep records moving. */
const GOOD_FRAME = 1 << 20;
/** What a frame needs around its records, and a record inside its frame, at most. */
const FRAME_OVERHEAD = 64;
const RECORD_OVERHEAD = 16;

/** A record that is not committed. */
export interface Entry {
  readonly bytes: Uint8Array;
  readonly position: Position | undefined;
  /** Who waits for it, where somebody does: told once, with the error that it ended with or none. */
  readonly settle?: (error?: Error) => void;
}

/** See the file. */
export class Outbox {
  private entries: Entry[] = [];
  /** Numbers of this session: up to which records are committed, and sent. */
  private committed = 0;
  private sent = 0;
  private sentBytes = 0;
  private unsentBytes = 0;
  private allowed = { records: 0, bytes: 0 };
  private open = false;
  private paused = false;
  private limit = 0;
  /** By source partition, the last offset that is known to be committed. */
  private readonly known = new Map<string, bigint>();

  /** How many records are not committed. */
  get size(): number {
    return this.entries.length;
  }

  /** Whether nothing waits to be sent. */
  get isSent(): boolean {
    return this.sent - this.committed === this.entries.length;
  }

  /** Whether all that was sent is committed. */
  get isSafe(): boolean {
    return this.sent === this.committed;
  }

  /** Whether there is a session, and it takes records. */
  get isServed(): boolean {
    return this.open && !this.paused;
  }

  /** Whether something waits that may be sent. */
  get canSend(): boolean {
    return !this.isSent && this.isOpen;
  }

  /** Whether another record could be sent, besides those that wait. */
  get hasRoom(): boolean {
    const { records, bytes } = this.allowed;
    const taken = this.committed + this.entries.length;
    return !this.paused && taken < records && this.sentBytes + this.unsentBytes < bytes;
  }

  /** Whether one record more may be sent. The one that reaches the byte count may exceed it. */
  private get isOpen(): boolean {
    return !this.paused && this.sent < this.allowed.records && this.sentBytes < this.allowed.bytes;
  }

  /**
   * A session begins, with frames of at most `limit` bytes. Returns what these positions show to be committed:
   * the first record that stands at one, and those of its source partition before it. The others are sent again; so are
   * all of them where the position says nothing new.
   */
  reopen(positions: readonly Position[], limit: number): Entry[] {
    this.suspend();
    this.open = true;
    this.paused = false;
    this.limit = limit;
    const safe = this.shown(positions);
    this.entries = this.entries.filter((entry) => !safe.has(entry));
    this.unsentBytes = this.entries.reduce((sum, { bytes }) => sum + bytes.length, 0);
    return [...safe];
  }

  /** The session is lost: nothing can be sent until the next one. */
  suspend(): void {
    this.open = false;
    this.committed = 0;
    this.sent = 0;
    this.sentBytes = 0;
    this.allowed = { records: 0, bytes: 0 };
    this.unsentBytes = this.entries.reduce((sum, { bytes }) => sum + bytes.length, 0);
  }

  /** Nothing more is to be sent in this session. */
  pause(): void {
    this.paused = true;
  }

  /** The sidecar wants more. Its counts only grow. */
  demand({ records, bytes }: SourceDemand): void {
    this.allowed.records = Math.max(this.allowed.records, Number(records));
    this.allowed.bytes = Math.max(this.allowed.bytes, Number(bytes));
  }

  /** Throws RecordTooLarge where no frame can carry the record. */
  check({ bytes }: Entry): void {
    const size = FRAME_OVERHEAD + RECORD_OVERHEAD + bytes.length;
    if (this.limit > 0 && size > this.limit) throw new RecordTooLarge(bytes.length, this.limit);
  }

  /** Keeps a record. */
  accept(entry: Entry): void {
    this.entries.push(entry);
    this.unsentBytes += entry.bytes.length;
  }

  /** The next frame, if records wait and may be sent. Throws RecordTooLarge. */
  nextFrame(): Uint8Array | undefined {
    const good = Math.min(GOOD_FRAME, this.limit);
    const first = this.sent + 1;
    const records: Uint8Array[] = [];
    let size = FRAME_OVERHEAD;
    while (this.canSend) {
      const entry = this.entries[this.sent - this.committed];
      if (entry === undefined) break;
      size += entry.bytes.length + RECORD_OVERHEAD;
      if (records.length > 0 && size > good) break;
      this.check(entry);
      records.push(entry.bytes);
      this.sent += 1;
      this.sentBytes += entry.bytes.length;
      this.unsentBytes -= entry.bytes.length;
    }
    return records.length > 0 ? recordsFrame(first, records) : undefined;
  }

  /** Everything up to `number` is safe: returns it, and forgets it. Throws a SidecarError where it was not sent. */
  commit(number: number): Entry[] {
    if (number > this.sent) throw SidecarError.protocol(`it committed record ${number}, which was not sent`);
    const safe = Math.max(0, number - this.committed);
    this.committed += safe;
    const gone = this.entries.splice(0, safe);
    for (const { position } of gone) if (position !== undefined) this.know(position);
    return gone;
  }

  /** The record of this number, if it was sent and is not committed. */
  at(number: number): Entry | undefined {
    return number <= this.sent ? this.entries[number - this.committed - 1] : undefined;
  }

  /** Gives up what is not committed, and returns it. */
  clear(): Entry[] {
    const entries = this.entries;
    this.entries = [];
    this.suspend();
    return entries;
  }

  /** Notes that the record at this position is committed; false where that was known. */
  private know({ sourcePartition, offset }: Position): boolean {
    const isNew = this.known.get(sourcePartition) !== offset;
    this.known.set(sourcePartition, offset);
    return isNew;
  }

  private shown(positions: readonly Position[]): Set<Entry> {
    const safe = new Set<Entry>();
    for (const { sourcePartition, offset } of positions.filter((position) => this.know(position))) {
      const lane = this.entries.filter(({ position }) => position?.sourcePartition === sourcePartition);
      const at = lane.findIndex(({ position }) => position?.offset === offset);
      for (const entry of lane.slice(0, at + 1)) safe.add(entry);
    }
    return new Set(this.entries.filter((entry) => safe.has(entry)));
  }
}
