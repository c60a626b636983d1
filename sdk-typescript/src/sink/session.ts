// A sink's stream: batches come, results go.

import type { Drained, Probe } from "../gen/danube/connector/v1/common.js";
import {
  SinkServiceService,
  type SinkBatch,
  type SinkRecord as WireRecord,
  type SinkServiceRunRequest,
  type SinkServiceRunResponse,
} from "../gen/danube/connector/v1/sink.js";
import { fault } from "../health.js";
import type { Runtime } from "../runtime.js";
import { SidecarError } from "../sidecar-error.js";
import type { FrameStream } from "../stream.js";
import { asError } from "../text.js";
import { breathe } from "../time.js";
import * as convert from "./convert.js";
import type { Schema } from "./record.js";
import type { Pause } from "./pause.js";
import { Report } from "./report.js";
import type { Sink } from "./sink.js";
import { Worker, type Offer } from "./worker.js";

const DRAINED: Drained = {};

/** One session of a sink. */
export class SinkSession {
  private readonly report = new Report((results) => this.stream.send({ results }));
  private readonly worker: Worker;
  private readonly schemas = new Map<string, Schema>();
  /** Batches that wait for those before them. The sidecar's window bounds them. */
  private readonly waiting: Offer[][] = [];
  private working = false;
  private left = false;
  private finished = false;
  private draining: "no" | "asked" | "said" = "no";

  private constructor(
    private readonly stream: FrameStream<SinkServiceRunRequest, SinkServiceRunResponse>,
    sink: Sink,
    private readonly runtime: Runtime,
    pause: Pause,
  ) {
    this.worker = new Worker(sink, runtime, this.report, pause);
  }

  /**
   * Opens a session and serves until the sink stops or fails. Throws a SidecarError when the session is lost.
   */
  static async run(sink: Sink, open: SinkServiceRunRequest, runtime: Runtime, pause: Pause): Promise<void> {
    const { stream, first } = await runtime.sidecar.dial(SinkServiceService.run, open, runtime.stop.signal);
    if (first.opened === undefined) {
      const error = SidecarError.protocol("its first frame is not `opened`");
      stream.abandon(error);
      throw error;
    }
    runtime.patience.opened(first.opened.sessionId);
    await new SinkSession(stream, sink, runtime, pause).serve(first.opened.settingsJson);
  }

  private async serve(settingsJson: string): Promise<void> {
    const { changes, stop } = this.runtime;
    this.stream.each((frame) => this.take(frame));
    this.work(settingsJson).catch((thrown: unknown) => stop.fail(asError(thrown)));
    await changes.until(() => this.stream.ended !== undefined || stop.requested);
    const enough = (): boolean => this.finished || stop.overdue || stop.failure !== undefined;
    await changes.until(() => this.stream.ended !== undefined || enough());
    await this.leave();
  }

  /** Writes what comes, batch by batch, until the session ends, or until it is time to stop and nothing is in hand. */
  private async work(settingsJson: string): Promise<void> {
    const { changes, stop } = this.runtime;
    await this.runtime.begin(settingsJson);
    while (stop.failure === undefined) {
      await changes.until(() => this.left || this.waiting.length > 0 || stop.requested);
      const batch = this.waiting.shift();
      if (this.left || batch === undefined) break;
      this.working = true;
      await this.worker.write(batch);
      await this.report.flush();
      this.working = false;
      await this.drain();
      await breathe();
    }
    this.finished = true;
    changes.notify();
  }

  private async leave(): Promise<void> {
    const { stop, log } = this.runtime;
    this.left = true;
    this.worker.leave();
    this.runtime.changes.notify();
    if (this.stream.ended !== undefined) {
      this.report.drop();
      throw this.stream.ended;
    }
    await this.report.flush();
    if (stop.failure !== undefined) await this.stream.send({ fault: fault(stop.failure) });
    else if (this.draining !== "said") await this.stream.send({ drained: DRAINED });
    if (!(await this.stream.close())) log.warn("the sidecar did not end the session in time; leaving it");
  }

  private take(frame: SinkServiceRunResponse): void {
    if (frame.batch !== undefined) this.receive(frame.batch);
    else if (frame.probe !== undefined) void this.answer(frame.probe);
    else if (frame.schema !== undefined) {
      const schema = convert.schema(frame.schema);
      if (schema !== undefined) this.schemas.set(`${schema.id}/${schema.version}`, schema);
    } else if (frame.drain !== undefined) {
      if (this.draining === "no") this.draining = "asked";
      void this.drain();
    } else if (frame.opened !== undefined) {
      this.stream.abandon(SidecarError.protocol("it sent `opened` twice"));
    }
    // What is left is a frame of a later version of the protocol.
  }

  /** Takes a batch in hand, unless it is too late for that. */
  private receive({ records, epoch }: SinkBatch): void {
    if (this.left || this.runtime.stop.requested || records.length === 0) return;
    const offers = records.map((wire) => this.offer(wire, epoch));
    this.worker.receive(offers.at(-1)?.id ?? 0n);
    this.waiting.push(offers);
    this.runtime.changes.notify();
  }

  private offer(wire: WireRecord, epoch: bigint): Offer {
    const ref = wire.schema;
    const schema = ref && this.schemas.get(`${ref.schemaId}/${ref.version}`);
    return { id: wire.deliveryId, record: convert.record(wire, epoch, schema) };
  }

  private async answer(probe: Probe): Promise<void> {
    const health = await this.runtime.health.answer(probe);
    if (!this.left) await this.stream.send({ health });
  }

  /** Says that nothing is in hand, once, if the sidecar wants to know. */
  private async drain(): Promise<void> {
    if (this.draining !== "asked" || this.working || this.waiting.length > 0 || this.left) return;
    this.draining = "said";
    await this.stream.send({ drained: DRAINED });
  }
}
