// Records of a source that is asked for them.

import { Fatal } from "../errors.js";
import { backoff } from "../patience.js";
import { asError, codeOf } from "../text.js";
import { pause } from "../time.js";
import { entryOf, hasRoom, type Feed, type FeedParts } from "./feed.js";
import type { Polled, PollSource } from "./source.js";

const DEFAULT_INTERVAL = 100;

/** Polls while the sidecar has demand, and never while records wait for demand. */
export class Poller implements Feed {
  private over = false;
  private polling = false;
  private returned = false;
  private failures = 0;

  constructor(
    private readonly source: PollSource,
    private readonly parts: FeedParts,
    private readonly interval = DEFAULT_INTERVAL,
  ) {}

  get ended(): boolean {
    return this.over;
  }

  get quiet(): boolean {
    return !this.polling;
  }

  get done(): boolean {
    return this.returned;
  }

  async run(): Promise<void> {
    const { changes, stop } = this.parts.runtime;
    while (!this.over && !stop.requested) {
      await changes.until(() => stop.requested || this.wanted);
      const rest = stop.requested ? 0 : await this.poll();
      changes.notify();
      if (rest > 0) await pause(rest, stop.signal);
    }
    this.returned = true;
    changes.notify();
  }

  private get wanted(): boolean {
    return this.parts.outbox.isSent && hasRoom(this.parts);
  }

  /** Polls once, and tells how many milliseconds to rest after it. */
  private async poll(): Promise<number> {
    this.polling = true;
    try {
      return await this.parts.runtime.turns.take(() => this.ask());
    } finally {
      this.polling = false;
    }
  }

  private async ask(): Promise<number> {
    const { stop, log } = this.parts.runtime;
    // The hook that ran before may have taken long.
    if (stop.requested || !this.wanted) return 0;
    let polled: Polled;
    try {
      polled = await this.source.poll(stop.signal);
    } catch (thrown) {
      const error = asError(thrown);
      if (error instanceof Fatal) stop.fail(error);
      if (stop.requested) return 0;
      const wait = backoff(this.failures);
      this.failures += 1;
      log.warn(`poll failed (${codeOf(error)}); it is called again`);
      return wait;
    }
    this.failures = 0;
    return this.take(polled) > 0 || this.over ? 0 : this.interval;
  }

  /** Keeps what came, and tells how much that was. A record that no frame can carry ends the run. */
  private take(polled: Polled): number {
    const { outbox, runtime } = this.parts;
    this.over = !Array.isArray(polled);
    const records = Array.isArray(polled) ? polled : (polled?.last ?? []);
    try {
      for (const entry of records.map((record) => entryOf(record, outbox))) outbox.accept(entry);
    } catch (thrown) {
      runtime.stop.fail(asError(thrown));
    }
    return records.length;
  }
}
