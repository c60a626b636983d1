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
 * of it is in hand, and must not overtake. With each lane stands the last delivery that was in hand when it
 * was held first.
 */
export class HeldLanes {
  private readonly held = new Map<string, bigint>();

  /**
   * The record is to come again: hold what follows in its lane. A record without a key holds nobody. `inHand`
   * is the last delivery that was received.
   */
  hold(record: SinkRecord, inHand: bigint): void {
    if (record.key === undefined) return;
    if (this.held.size >= MOST) this.held.clear();
    const name = lane(record.topic, record.key);
    if (!this.held.has(name)) this.held.set(name, inHand);
  }

  /**
   * Whether the record may be written. One that is offered again opens its lane: the sidecar decides what comes
   * first. What had been in hand before is no such offer, whatever its attempt.
   */
  admits(record: SinkRecord, id: bigint): boolean {
    if (this.held.size === 0 || record.key === undefined) return true;
    const name = lane(record.topic, record.key);
    const inHand = this.held.get(name);
    if (inHand === undefined) return true;
    if (record.attempt === 1 || id <= inHand) return false;
    this.held.delete(name);
    return true;
  }
}

function lane(topic: string, key: string): string {
  return `${topic.length}:${topic}${key}`;
}
