// A source's stream: demand and commits come, records go.

import { RecordRejected } from "../errors.js";
import type { Probe } from "../gen/danube/connector/v1/common.js";
import type { SourceOpened, SourceRejected, SourceServiceRunResponse } from "../gen/danube/connector/v1/source.js";
import { fault } from "../health.js";
import type { Runtime } from "../runtime.js";
import { SidecarError } from "../sidecar-error.js";
import type { FrameStream } from "../stream.js";
import { asError } from "../text.js";
import { breathe } from "../time.js";
import * as convert from "./convert.js";
import type { Feed } from "./feed.js";
import type { Notices } from "./notices.js";
import type { Outbox } from "./outbox.js";
import type { Position } from "./source.js";

/** What outlives the sessions of a source. */
export interface SourceParts {
  readonly runtime: Runtime;
  readonly outbox: Outbox;
  readonly notices: Notices;
  readonly feed: Feed;
  /** Called with the first session's settings and positions; does nothing later. */
  begin(settingsJson: string, positions: Position[]): void;
}

/** One session of a source. */
export class SourceSession {
  private left = false;
  private saidDrained = false;

  private constructor(
    private readonly stream: FrameStream<Uint8Array, SourceServiceRunResponse>,
    private readonly parts: SourceParts,
  ) {}

  /**
   * Opens a session and serves until the source stops, fails or has ended. Throws a SidecarError when the
   * session is lost.
   */
  static async run(open: Uint8Array, parts: SourceParts): Promise<void> {
    const { sidecar, stop, patience } = parts.runtime;
    if (parts.feed.ended && parts.outbox.size === 0) return;
    const { stream, first } = await sidecar.dial(convert.METHOD, open, stop.signal);
    if (first.opened === undefined) {
      const error = SidecarError.protocol("its first frame is not `opened`");
      stream.abandon(error);
      throw error;
    }
    const opened = first.opened;
    const positions = [...opened.positions, ...(await pages(stream, opened.morePositions))];
    patience.opened(opened.sessionId);
    await new SourceSession(stream, parts).serve({ ...opened, positions });
  }

  private get ended(): boolean {
    return this.stream.ended !== undefined;
  }

  private async serve({ settingsJson, positions, limits }: SourceOpened): Promise<void> {
    const { outbox, notices, runtime } = this.parts;
    const known = positions.map(convert.position);
    notices.committed(outbox.reopen(known, convert.frameLimit(limits)));
    this.stream.each((frame) => this.take(frame));
    this.parts.begin(settingsJson, known);
    this.pump().catch((thrown: unknown) => runtime.stop.fail(asError(thrown)));
    await this.finish().catch((thrown: unknown) => runtime.stop.fail(asError(thrown)));
    await this.leave();
  }

  /** Waits until the session has ended, until the source cannot go on, or until nothing is left to do. */
  private async finish(): Promise<void> {
    const { runtime, outbox, feed, notices } = this.parts;
    const { changes, stop } = runtime;
    const broken = (): boolean => this.ended || stop.failure !== undefined;
    await changes.until(() => broken() || stop.requested || (feed.ended && outbox.isSent));
    // A poll that runs may still bring something; what it has read is sent as far as there is demand.
    await changes.until(() => broken() || stop.overdue || feed.quiet);
    if (broken()) return;
    await this.send();
    await this.drained();
    const safe = (): boolean => outbox.isSafe && notices.told;
    await changes.until(() => broken() || stop.overdue || safe());
  }

  private async leave(): Promise<void> {
    const { runtime, outbox, feed } = this.parts;
    const { stop, log, changes } = runtime;
    const done = feed.ended && outbox.size === 0;
    this.left = true;
    outbox.suspend();
    changes.notify();
    if (this.stream.ended !== undefined) {
      if (done && !this.stream.ended.permanent) return;
      throw this.stream.ended;
    }
    if (stop.failure !== undefined) await this.stream.send(convert.frame({ fault: fault(stop.failure) }));
    if (!(await this.stream.close())) log.warn("the sidecar did not end the session in time; leaving it");
  }

  /** Sends what demand allows, as long as the session lasts. */
  private async pump(): Promise<void> {
    const { runtime, outbox } = this.parts;
    const over = (): boolean => this.left || this.ended || this.saidDrained;
    for (;;) {
      await runtime.changes.until(() => over() || outbox.canSend);
      if (over()) return;
      await breathe(); // What is emitted meanwhile goes into the same frame.
      await this.send();
    }
  }

  private async send(): Promise<void> {
    while (!this.left && !this.saidDrained) {
      const frame = this.parts.outbox.nextFrame();
      if (frame === undefined) break;
      await this.stream.send(frame);
    }
    this.parts.runtime.changes.notify();
  }

  /** Says, once, that no more records follow in this session. */
  private async drained(): Promise<void> {
    if (this.saidDrained) return;
    this.saidDrained = true;
    this.parts.outbox.pause();
    await this.stream.send(convert.frame({ drained: {} }));
  }

  private take(frame: SourceServiceRunResponse): void {
    if (this.left) return;
    if (frame.demand !== undefined) this.parts.outbox.demand(frame.demand);
    else if (frame.committed !== undefined) this.commit(Number(frame.committed.number));
    else if (frame.rejected !== undefined) this.reject(frame.rejected);
    else if (frame.probe !== undefined) void this.answer(frame.probe);
    else if (frame.drain !== undefined) void this.drained();
    else if (frame.opened !== undefined) this.stream.abandon(SidecarError.protocol("it sent `opened` twice"));
    // What is left is a frame of a later version of the protocol.
    this.parts.runtime.changes.notify();
  }

  private commit(number: number): void {
    try {
      this.parts.notices.committed(this.parts.outbox.commit(number));
    } catch (thrown) {
      if (!(thrown instanceof SidecarError)) throw thrown;
      this.stream.abandon(thrown);
    }
  }

  private reject({ number, code, message }: SourceRejected): void {
    const { outbox, notices, runtime } = this.parts;
    const entry = outbox.at(Number(number));
    runtime.log.warn(`record ${number} can never be published (${code}): ${message}`);
    if (entry === undefined) return;
    entry.settle?.(new RecordRejected(code, message));
    notices.rejected({ code, message, record: convert.decoded(entry.bytes) });
  }

  private async answer(probe: Probe): Promise<void> {
    const health = await this.parts.runtime.health.answer(probe);
    if (!this.left) await this.stream.send(convert.frame({ health }));
  }
}

/** The positions that did not fit into `opened`. */
async function pages(
  stream: FrameStream<Uint8Array, SourceServiceRunResponse>,
  more: boolean,
): Promise<SourceOpened["positions"]> {
  const positions: SourceOpened["positions"] = [];
  for (let next = more; next; ) {
    const { positions: page } = await stream.first();
    if (page === undefined) {
      const error = SidecarError.protocol("positions were to follow");
      stream.abandon(error);
      throw error;
    }
    positions.push(...page.positions);
    next = page.more;
  }
  return positions;
}
