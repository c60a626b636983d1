// Order per key, while records are on their way.

import type { SinkRecord } from "./record.js";

/**
 * Lanes that are remembered at most. Beyond it all are forgotten, which gives up no more than the order of
 * records that were under way.
 */
const MOST = 10_000;

/**
 * The lanes (topic and key) whose last record has to be offered again.
 *
 * The sidecar holds back what follows a record that is retried; but what it had already sent when it heard
 * of it is in hand, and must not overtake.
 */
export class HeldLanes {
  private readonly held = new Set<string>();

  /** The record is to be retried: hold what follows in its lane. A record without a key holds nobody. */
  hold(record: SinkRecord): void {
    if (record.key === undefined) return;
    if (this.held.size >= MOST) this.held.clear();
    this.held.add(lane(record.topic, record.key));
  }

  /** Whether the record may be written. One that is offered again opens its lane: the sidecar decides what comes first. */
  admits(record: SinkRecord): boolean {
    if (this.held.size === 0 || record.key === undefined) return true;
    const name = lane(record.topic, record.key);
    if (record.attempt > 1) this.held.delete(name);
    return !this.held.has(name);
  }
}

function lane(topic: string, key: string): string {
  return `${topic.length}:${topic}${key}`;
}
