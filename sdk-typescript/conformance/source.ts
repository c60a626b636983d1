// The source that the conformance kit runs: counts.

import {
  runSource,
  type Emitter,
  type Polled,
  type Position,
  type Rejection,
  type Settings,
  type Source,
  type SourceHooks,
  type SourceRecord,
} from "@danube-messaging/connector";
import { append, conformance, connector, health, topic } from "./file.js";

const PARTITION = "numbers";
const MOST_IN_A_POLL = 10;
const ends = process.env["CONFORMANCE_END"] === "1";

let last = 1000;
let size = 0;
let place: number | undefined; // Where all records stand, if not each at a place of its own.
let next = 1;

function record(n: number): SourceRecord {
  return {
    payload: `record ${n}`.padEnd(size, "x"),
    key: `k${n % 4}`,
    attributes: { n: String(n) },
    position: { sourcePartition: PARTITION, offset: BigInt(place ?? n), metadata: `m${n}` },
  };
}

const hooks: SourceHooks = {
  open(settings: Settings) {
    const own = conformance(settings);
    last = Number(own["records"] ?? last);
    size = Number(own["size"] ?? size);
    if (own["offset"] !== undefined) place = Number(own["offset"]);
  },
  restore(positions: Position[]) {
    const offset = positions.find(({ sourcePartition }) => sourcePartition === PARTITION)?.offset ?? 0n;
    next = Number(offset) + 1;
    append(`restored ${offset}`);
  },
  commit(positions: Position[]) {
    for (const { offset } of positions) append(`committed ${offset}`);
  },
  rejected({ code, record }: Rejection) {
    append(`rejected ${record.position?.offset ?? "-"} ${code}`);
  },
  health,
  close: () => append("closed"),
};

function poll(): Polled {
  const records: SourceRecord[] = [];
  while (next <= last && records.length < MOST_IN_A_POLL) {
    records.push(record(next));
    next += 1;
  }
  return ends && next > last ? { last: records } : records;
}

async function stream(emitter: Emitter, signal: AbortSignal): Promise<void> {
  for (; next <= last; next += 1) await emitter.emit(record(next));
  if (ends || signal.aborted) return;
  await new Promise((stopped) => signal.addEventListener("abort", stopped));
}

const source: Source = process.env["CONFORMANCE_MODE"] === "push" ? { ...hooks, stream } : { ...hooks, poll };

await runSource(source, { connector, producers: [{ topic }], log: console });
