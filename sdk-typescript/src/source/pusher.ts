// Records of a source that pushes.

import { Fatal, SourceStopped } from "../errors.js";
import { asError, codeOf } from "../text.js";
import { entryOf, hasRoom, type Feed, type FeedParts } from "./feed.js";
import type { Entry } from "./outbox.js";
import type { Emitted, Emitter, PushSource, SourceRecord } from "./source.js";

/** A record that waits for room, and who waits with it. */
interface Waiting {
  offer: Offer;
  taken(emitted: Emitted): void;
  refused(error: Error): void;
}

/** A record, and what its caller gets when it is taken. */
interface Offer {
  entry: Entry;
  emitted: Emitted;
}

/** Takes what the source emits, as far as the sidecar has demand; the others wait. */
export class Pusher implements Feed, Emitter {
  private waiting: Waiting[] = [];
  private returned = false;

  constructor(
    private readonly source: PushSource,
    private readonly parts: FeedParts,
  ) {
    parts.runtime.changes.onNotify(() => this.admit());
  }

  get ended(): boolean {
    return this.returned && this.waiting.length === 0;
  }

  get quiet(): boolean {
    return true;
  }

  get done(): boolean {
    return this.returned;
  }

  async run(): Promise<void> {
    const { stop, log, changes } = this.parts.runtime;
    try {
      await this.source.stream(this, stop.signal);
    } catch (thrown) {
      const error = asError(thrown);
      if (!stop.requested || error instanceof Fatal) stop.fail(error);
      else if (!(error instanceof SourceStopped)) log.warn(`stream failed while it stopped (${codeOf(error)})`);
    }
    this.returned = true;
    changes.notify();
  }

  get connected(): boolean {
    return this.parts.outbox.isServed && !this.parts.runtime.stop.requested;
  }

  // Both are bound: a source may hand them on alone.
  readonly emit = async (record: SourceRecord): Promise<Emitted> => {
    const offer = this.offer(record);
    if (this.waiting.length === 0 && hasRoom(this.parts)) return this.take(offer);
    return new Promise((taken, refused) => this.waiting.push({ offer, taken, refused }));
  };

  readonly tryEmit = (record: SourceRecord): Emitted | undefined => {
    const offer = this.offer(record);
    return this.waiting.length === 0 && hasRoom(this.parts) ? this.take(offer) : undefined;
  };

  private offer(record: SourceRecord): Offer {
    if (this.returned || this.parts.runtime.stop.requested) throw new SourceStopped();
    let settle: Entry["settle"];
    const committed = new Promise<void>((resolve, reject) => {
      settle = (error) => (error === undefined ? resolve() : reject(error));
    });
    // Who does not care for it must not be ended by it.
    committed.catch(() => undefined);
    return { entry: entryOf(record, this.parts.outbox, settle), emitted: { committed } };
  }

  private take({ entry, emitted }: Offer): Emitted {
    this.parts.outbox.accept(entry);
    this.parts.runtime.changes.notify();
    return emitted;
  }

  /** Takes those who wait, in their order, as far as there is room; at the stop they are sent away. */
  private admit(): void {
    if (this.parts.runtime.stop.requested) {
      for (const { refused } of this.waiting.splice(0)) refused(new SourceStopped());
    }
    while (hasRoom(this.parts)) {
      const next = this.waiting.shift();
      if (next === undefined) return;
      this.parts.outbox.accept(next.offer.entry);
      next.taken(next.offer.emitted);
    }
  }
}
