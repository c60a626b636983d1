// The sink that the conformance kit runs: does what its records say.

import { setTimeout as sleep } from "node:timers/promises";
import {
  Busy,
  Fatal,
  Filtered,
  Reject,
  Retry,
  runSink,
  type ConnectorHooks,
  type Outcome,
  type Settings,
  type Sink,
  type SinkRecord,
} from "@danube-messaging/connector";
import { append, conformance, connector, health, topic } from "./file.js";

const code = "TOLD_TO";

/** What the record says: a word, and what goes with it. */
function order(record: SinkRecord): string[] {
  return record.text().split(/\s+/);
}

/** Does what the record says; throws what becomes of it unless it is written. */
async function obey(record: SinkRecord): Promise<void> {
  const [word, argument] = order(record);
  const first = record.attempt === 1;
  if (word === "reject") throw new Reject("told to reject", { code });
  if (word === "filter") throw new Filtered("told to filter", { code });
  if (word === "fatal") throw new Fatal("told to be fatal", { code });
  if (word === "retry" && first) throw new Retry("told to retry", { code });
  if (word === "retry-after" && first) throw new Retry("told to retry", { code, after: Number(argument) });
  if (word === "busy" && first) throw new Busy("told to be busy", { code, after: Number(argument) });
  if (word === "error" && first) throw new Error("told to throw");
  if (word === "slow") await sleep(Number(argument));
  append(`written ${record.dedupId} ${record.attempt} ${record.schema?.subject ?? "-"}`);
}

/** Does what the records say, in their order. */
async function obeyAll(records: SinkRecord[]): Promise<Outcome[]> {
  // One that makes the whole batch fail does so before any of it is written.
  const failing = records.find((record) => record.attempt === 1 && order(record)[0] === "error");
  if (failing !== undefined) await obey(failing);
  const outcomes: Outcome[] = [];
  for (const record of records) {
    outcomes.push(await obey(record).then((): Outcome => "written", (error: Error) => error));
    if (outcomes.at(-1) instanceof Fatal) break;
  }
  return outcomes;
}

const hooks: ConnectorHooks = {
  open: (settings: Settings) => append(`opened ${conformance(settings)["word"] ?? "-"}`),
  health,
  close: () => append("closed"),
};

const sink: Sink =
  process.env["CONFORMANCE_MODE"] === "single"
    ? { ...hooks, process: obey }
    : { ...hooks, processBatch: obeyAll };

await runSink(sink, { connector, subscriptions: [{ topic }], log: console });
