// A sidecar that does what a test says.

import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { Metadata, Server, ServerCredentials, status, type ServerDuplexStream } from "@grpc/grpc-js";
import {
  SinkServiceRunResponse,
  SinkServiceService,
  type DeepPartial,
  type SinkOpen,
  type SinkRecord,
  type SinkServiceRunRequest,
} from "../../src/gen/danube/connector/v1/sink.js";
import {
  SourceServiceRunResponse,
  SourceServiceService,
  type SourceOpen,
  type SourceServiceRunRequest,
} from "../../src/gen/danube/connector/v1/source.js";
import { Changes } from "../../src/changes.js";

/** Longer than anything takes that works. */
const LIMIT = 8_000;

/** Things that arrive, and may be waited for. */
class Arrivals<T> {
  private readonly items: T[] = [];
  private readonly changes = new Changes();

  constructor(private readonly what: string) {}

  push(item: T): void {
    this.items.push(item);
    this.changes.notify();
  }

  async next(): Promise<T> {
    const came = await this.changes.until(() => this.items.length > 0, LIMIT);
    assert.ok(came, `no ${this.what} came`);
    return this.items.shift() as T;
  }
}

/** One stream, from the sidecar's side. */
export class Call<Up, Down> {
  readonly metadata: Metadata;
  private readonly frames = new Arrivals<Up | "end">("frame");

  constructor(
    private readonly stream: ServerDuplexStream<Up, Down>,
    private readonly build: (frame: DeepPartial<Down>) => Down,
  ) {
    this.metadata = stream.metadata;
    stream.on("data", (frame: Up) => this.frames.push(frame));
    stream.on("end", () => this.frames.push("end"));
    stream.on("error", () => this.frames.push("end"));
    stream.on("cancelled", () => this.frames.push("end"));
  }

  /** The next frame. */
  async next(): Promise<Up> {
    const frame = await this.frames.next();
    assert.notEqual(frame, "end", "a frame, not the end of the stream");
    return frame as Up;
  }

  /** The connector has half-closed, and sent nothing before it. */
  async halfClosed(): Promise<void> {
    assert.equal(await this.frames.next(), "end");
  }

  send(frame: DeepPartial<Down>): void {
    this.stream.write(this.build(frame));
  }

  end(): void {
    this.stream.end();
  }

  /** Ends the stream with this status; UNAVAILABLE stands for a cut. */
  fail(code: status = status.UNAVAILABLE, details = "cut", trailer?: Uint8Array): void {
    const metadata = new Metadata();
    if (trailer !== undefined) metadata.set("grpc-status-details-bin", Buffer.from(trailer));
    this.stream.emit("error", { code, details, metadata });
  }
}

export type SinkCall = Call<SinkServiceRunRequest, SinkServiceRunResponse> & { open: SinkOpen };
export type SourceCall = Call<SourceServiceRunRequest, SourceServiceRunResponse> & { open: SourceOpen };

export class ScriptedSidecar {
  private readonly sinks = new Arrivals<Call<SinkServiceRunRequest, SinkServiceRunResponse>>("sink");
  private readonly sources = new Arrivals<Call<SourceServiceRunRequest, SourceServiceRunResponse>>("source");
  private readonly server = new Server({ "grpc.max_receive_message_length": -1 });

  private constructor() {
    this.server.addService(SinkServiceService, {
      run: (stream: ServerDuplexStream<SinkServiceRunRequest, SinkServiceRunResponse>) =>
        this.sinks.push(new Call(stream, (frame) => SinkServiceRunResponse.fromPartial(frame))),
    });
    this.server.addService(SourceServiceService, {
      run: (stream: ServerDuplexStream<SourceServiceRunRequest, SourceServiceRunResponse>) =>
        this.sources.push(new Call(stream, (frame) => SourceServiceRunResponse.fromPartial(frame))),
    });
  }

  /** Listens at this gRPC target; returns it and its port. */
  static async listen(target: string): Promise<{ sidecar: ScriptedSidecar; port: number }> {
    const sidecar = new ScriptedSidecar();
    const port = await new Promise<number>((resolve, reject) => {
      sidecar.server.bindAsync(target, ServerCredentials.createInsecure(), (error, port) =>
        error ? reject(error) : resolve(port),
      );
    });
    return { sidecar, port };
  }

  /** The next stream of a sink, whose `open` is read. */
  async sink(): Promise<SinkCall> {
    const call = await this.sinks.next();
    const { open } = await call.next();
    assert.ok(open, "the first frame is `open`");
    return Object.assign(call, { open });
  }

  /** The same, and it is answered. */
  async openSink(settings: object = {}): Promise<SinkCall> {
    const call = await this.sink();
    call.send({ opened: { sessionId: "s", epoch: 7n, protocolVersion: 1, settingsJson: JSON.stringify(settings) } });
    return call;
  }

  /** The next stream of a source, whose `open` is read. */
  async source(): Promise<SourceCall> {
    const call = await this.sources.next();
    const { open } = await call.next();
    assert.ok(open, "the first frame is `open`");
    return Object.assign(call, { open });
  }

  /** The same, and it is answered with these positions of the partition "p". */
  async openSource(offsets: bigint[] = [], settings: object = {}): Promise<SourceCall> {
    const call = await this.source();
    const positions = offsets.map((offset) => ({ sourcePartition: "p", offset }));
    call.send({ opened: { sessionId: "s", epoch: 7n, settingsJson: JSON.stringify(settings), positions } });
    return call;
  }

  close(): void {
    this.server.forceShutdown();
  }
}

/** What a test of a connector needs. */
export interface Stage {
  sidecar: ScriptedSidecar;
  /** Stops the connector. */
  stop(): void;
  options: { connector: string; address: string; signal: AbortSignal; handleSignals: boolean; stopTimeout: number };
}

/** A folder that is gone after the test. */
export function folder(t: TestContext): string {
  const path = mkdtempSync(join(tmpdir(), "danube-"));
  t.after(() => rmSync(path, { recursive: true }));
  return path;
}

/** A scripted sidecar, and options for a connector that dials it. */
export async function stage(t: TestContext, socketIn?: string): Promise<Stage> {
  const path = socketIn && join(socketIn, "sidecar.sock");
  const { sidecar, port } = await ScriptedSidecar.listen(path ? `unix:${path}` : "127.0.0.1:0");
  const controller = new AbortController();
  t.after(() => {
    controller.abort();
    sidecar.close();
  });
  const address = path ? `unix://${path}` : `http://127.0.0.1:${port}`;
  const { signal } = controller;
  return {
    sidecar,
    stop: () => controller.abort(),
    options: { connector: "test", address, signal, handleSignals: false, stopTimeout: 2_000 },
  };
}

/** A record for a sink. */
export function offer(id: number, payload = "", more: DeepPartial<SinkRecord> = {}): DeepPartial<SinkRecord> {
  return {
    deliveryId: BigInt(id),
    attempt: 1,
    topic: "/default/t",
    partitionTopic: "/default/t",
    offset: BigInt(id),
    payload: Buffer.from(payload),
    dedupId: String(id).padStart(32, "0"),
    subscription: "test",
    ...more,
  };
}

/** Reads results until so many records are answered, each once. Written: "written", else "OUTCOME CODE". */
export async function answers(call: SinkCall, count: number): Promise<Map<number, string>> {
  const answered = new Map<number, string>();
  const note = (id: number, what: string): void => {
    assert.ok(!answered.has(id), `record ${id} is answered once`);
    answered.set(id, what);
  };
  while (answered.size < count) {
    const { results } = await call.next();
    assert.ok(results, "results");
    for (const { first, last } of results.acked) {
      for (let id = first; id <= last; id += 1n) note(Number(id), "written");
    }
    for (const { deliveryId, outcome, code } of results.failures) {
      note(Number(deliveryId), `${["?", "RETRY", "REJECT", "FILTERED", "BUSY"][outcome]} ${code}`);
    }
  }
  return answered;
}

/** The records of the next frame, as [number, text]. */
export async function received(call: SourceCall): Promise<[number, string][]> {
  const { records } = await call.next();
  assert.ok(records, "records");
  return records.records.map(({ payload }, index) => [Number(records.firstNumber) + index, payload.toString()]);
}
