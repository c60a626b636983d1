// Counts: each number becomes a record.

import { Fatal, type PollSource, type Position, type Settings, type SourceRecord } from "@danube-messaging/connector";

/** The name of what is counted. A source of files has one of these for each file. */
const PARTITION = "numbers";
const MOST_IN_A_POLL = 10;

export class NumberSource implements PollSource {
  private next = 1;
  private count = 0;

  /** Called once, first, with the settings in the sidecar's file. What it throws ends the program. */
  open(settings: Settings): void {
    const count = Number(settings["count"] ?? 1000);
    if (!Number.isSafeInteger(count) || count < 0) {
      throw new Fatal(`count is ${settings["count"]}: expected a whole number`, { code: "SETTINGS" });
    }
    this.count = count;
  }

  /** Called once, before the first poll: these are safe in Danube, so go on behind them. There are none at the first start. */
  restore(positions: Position[]): void {
    const last = positions.find(({ sourcePartition }) => sourcePartition === PARTITION);
    if (last !== undefined) this.next = Number(last.offset) + 1;
  }

  /**
   * The next records. Called whenever Danube wants more; `[]` is: none at the moment, ask again in 100 ms. What it throws is
   * logged, and it is called again.
   */
  poll(): SourceRecord[] {
    const records: SourceRecord[] = [];
    while (this.next <= this.count && records.length < MOST_IN_A_POLL) {
      records.push(record(this.next));
      this.next += 1;
    }
    return records;
  }
}

function record(n: number): SourceRecord {
  return {
    payload: `number ${n}`,
    key: `key-${n % 4}`, // Records of one key stay in order.
    position: { sourcePartition: PARTITION, offset: BigInt(n) }, // Comes back in `restore`.
  };
}
