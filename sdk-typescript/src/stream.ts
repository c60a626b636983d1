// One stream to the sidecar.

import type { ClientDuplexStream, ServiceError } from "@grpc/grpc-js";
import type { Changes } from "./changes.js";
import { SidecarError } from "./sidecar-error.js";

/** The sidecar settles the last session before it answers `open`. */
const OPEN_LIMIT = 60_000;
const SEND_LIMIT = 60_000;
const CLOSE_LIMIT = 5_000;

/** What a stream needs of those who made it. */
export interface StreamParts {
  /** Told when the stream ends. */
  changes: Changes;
  /** What a status means to this connector. */
  meaning(error: ServiceError): SidecarError;
  /** Lets go of the connection. */
  release(): void;
}

/** Frames in both directions. */
export class FrameStream<Up, Down> {
  private why: SidecarError | undefined;

  constructor(
    private readonly call: ClientDuplexStream<Up, Down>,
    private readonly parts: StreamParts,
  ) {
    call.on("error", (error: ServiceError) => this.end(parts.meaning(error)));
    call.on("end", () => this.end(SidecarError.ended()));
    call.on("drain", () => parts.changes.notify());
    call.pause();
  }

  /** Why the stream has ended; undefined while it has not. */
  get ended(): SidecarError | undefined {
    return this.why;
  }

  /** A frame that comes before all others. Throws a SidecarError when the stream ends before it. */
  async first(): Promise<Down> {
    let first: Down | undefined;
    this.call.once("data", (frame: Down) => {
      this.call.pause();
      first = frame;
      this.parts.changes.notify();
    });
    this.call.resume();
    const there = await this.parts.changes.until(() => first !== undefined || this.why !== undefined, OPEN_LIMIT);
    if (first !== undefined) return first;
    if (!there) this.abandon(SidecarError.slow("answer `open`", OPEN_LIMIT));
    throw this.why ?? SidecarError.ended();
  }

  /** Calls `take` for every frame from now on, until the stream ends. */
  each(take: (frame: Down) => void): void {
    this.call.on("data", (frame: Down) => {
      if (this.why === undefined) take(frame);
    });
    this.call.resume();
  }

  /** Sends a frame, and waits while the sidecar does not read. Where the stream has ended, nothing is sent. */
  async send(frame: Up): Promise<void> {
    if (this.why !== undefined || this.call.writableEnded || this.call.write(frame)) return;
    const roomy = (): boolean => this.why !== undefined || !this.call.writableNeedDrain;
    if (!(await this.parts.changes.until(roomy, SEND_LIMIT))) {
      this.abandon(SidecarError.slow("read a frame", SEND_LIMIT));
    }
  }

  /** Sends nothing more, and waits a moment for the sidecar to end the stream. Tells whether it did. */
  async close(): Promise<boolean> {
    if (this.why === undefined) this.call.end();
    const ended = await this.parts.changes.until(() => this.why !== undefined, CLOSE_LIMIT);
    this.abandon(SidecarError.slow("end the session", CLOSE_LIMIT));
    return ended;
  }

  /** Ends the stream at once, for this reason. */
  abandon(why: SidecarError): void {
    this.end(why);
    this.call.cancel();
  }

  private end(why: SidecarError): void {
    if (this.why !== undefined) return;
    this.why = why;
    this.parts.release();
    this.parts.changes.notify();
  }
}
