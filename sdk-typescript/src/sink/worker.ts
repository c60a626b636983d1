// Hands records to a sink, and learns what became of each.

import { Busy, Fatal, Retry } from "../errors.js";
import type { Runtime } from "../runtime.js";
import { asError, codeOf } from "../text.js";
import { breathe } from "../time.js";
import { comesAgain, failure } from "./convert.js";
import { HeldLanes } from "./lanes.js";
import type { Pause } from "./pause.js";
import type { SinkRecord } from "./record.js";
import type { Report } from "./report.js";
import type { BatchSink, Outcome, RecordSink, Sink } from "./sink.js";

/** A record, and the id under which it is answered. */
export interface Offer {
  id: bigint;
  record: SinkRecord;
}

/** Hands one session's records over, one call at a time. */
export class Worker {
  private readonly lanes = new HeldLanes();
  /** The last delivery that came. */
  private received = 0n;
  private left = false;
  private failures = 0;
  private firstCode = "";

  constructor(
    private readonly sink: Sink,
    private readonly runtime: Runtime,
    private readonly report: Report,
    private readonly pause: Pause,
  ) {}

  /** Deliveries up to this one are in hand. */
  receive(last: bigint): void {
    this.received = last;
  }

  /** The session is over: what still runs may end, but its results are of no use. */
  leave(): void {
    this.left = true;
  }

  /** Hands a batch over. What became of its records is in the report when it ends; it never fails. */
  async write(batch: Offer[]): Promise<void> {
    if ("processBatch" in this.sink) await this.whole(this.sink, batch);
    else await this.singly(this.sink, batch);
    if (this.failures > 0) {
      this.runtime.log.warn(`${this.failures} of ${batch.length} records were not written; the first: ${this.firstCode}`);
      this.failures = 0;
    }
  }

  private async singly(sink: RecordSink, batch: Offer[]): Promise<void> {
    for (const offer of batch) {
      if (!this.admit(offer)) continue;
      const outcome = await this.call(async (): Promise<Outcome> => {
        await sink.process(offer.record, this.runtime.stop.deadline);
        return "written";
      });
      if (outcome === undefined) return;
      this.settle(offer, outcome);
      if (outcome instanceof Fatal) return;
      // A timer sends what has waited long enough, unless the sink never lets it.
      if (this.report.due) {
        await this.report.flush();
        await breathe();
      }
    }
  }

  private async whole(sink: BatchSink, batch: Offer[]): Promise<void> {
    const offers = batch.filter((offer) => this.admit(offer));
    if (offers.length === 0) return;
    const records = offers.map(({ record }) => record);
    const outcomes = await this.call(async () =>
      complete(await sink.processBatch(records, this.runtime.stop.deadline), offers.length),
    );
    if (outcomes === undefined) return;
    if (outcomes instanceof Fatal) return this.runtime.stop.fail(outcomes);
    for (const [index, offer] of offers.entries()) {
      const outcome = Array.isArray(outcomes) ? outcomes[index] : outcomes;
      if (outcome !== undefined) this.settle(offer, outcome);
    }
  }

  /** Calls the sink when it is free. What it throws is the outcome; none when nobody waits for it any more. */
  private async call<T>(call: () => Promise<T>): Promise<T | Error | undefined> {
    const outcome = await this.runtime.turns.take(async () => {
      if (this.left) return undefined;
      try {
        return await call();
      } catch (thrown) {
        return asError(thrown);
      }
    });
    this.runtime.changes.notify();
    // Whoever waits for it, the external system is to be left alone.
    for (const each of [outcome].flat()) if (each instanceof Busy) this.pause.begin(each);
    // A sink that cannot go on cannot in the next session either.
    if (this.left && outcome instanceof Fatal) this.runtime.stop.fail(outcome);
    return this.left ? undefined : outcome;
  }

  /** Whether the record may be written now; one that is handed back or must not overtake is answered. */
  private admit({ id, record }: Offer): boolean {
    const busy = this.pause.left();
    if (busy === undefined && this.lanes.admits(record, id)) return true;
    if (busy !== undefined) this.lanes.hold(record, this.received);
    this.report.failed(failure(id, busy ?? held()));
    return false;
  }

  private settle({ id, record }: Offer, outcome: Outcome): void {
    if (outcome === "written") return this.report.written(id);
    if (outcome instanceof Fatal) return this.runtime.stop.fail(outcome);
    if (comesAgain(outcome)) this.lanes.hold(record, this.received);
    if (this.failures === 0) this.firstCode = codeOf(outcome);
    this.failures += 1;
    this.report.failed(failure(id, outcome));
  }
}

function held(): Retry {
  return new Retry("an earlier record of the same key has to be written first", { code: "HELD" });
}

/** The outcomes, if there is one for each record. */
function complete(outcomes: Outcome[], records: number): Outcome[] {
  const known = (outcome: unknown): boolean => outcome === "written" || outcome instanceof Error;
  if (!Array.isArray(outcomes) || !outcomes.every(known)) {
    throw new Fatal('processBatch has to return an array of "written" and errors', { code: "BAD_OUTCOMES" });
  }
  if (outcomes.length !== records && !(outcomes.length < records && outcomes.at(-1) instanceof Fatal)) {
    const counts = `${outcomes.length} outcomes for ${records} records`;
    throw new Fatal(`processBatch returned ${counts}; it has to return one for each`, { code: "BAD_OUTCOMES" });
  }
  return outcomes;
}
