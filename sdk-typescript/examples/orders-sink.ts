// A sink that writes batches, and says what became of each record.

import { Fatal, Filtered, Reject, Retry, runSink, type Outcome, type SinkRecord } from "@danube-messaging/connector";

interface Order {
  id?: string;
  test?: boolean;
}

/** Stands for a database. */
const table = new Map<string, Order>();
let capacity = 0;

function write(record: SinkRecord): Outcome {
  let order: Order;
  try {
    order = record.json<Order>();
  } catch {
    return new Reject("the payload is no JSON", { code: "NOT_JSON" }); // A dead letter.
  }
  if (order.id === undefined) return new Reject("the order has no id", { code: "NO_ID" });
  if (order.test) return new Filtered("a test order"); // Done, and counted apart.
  if (table.size >= capacity) return new Retry("the table is full", { code: "FULL", after: 5_000 }); // Comes again.
  table.set(record.dedupId, order); // Writing it twice changes nothing.
  return "written";
}

await runSink(
  {
    open(settings) {
      capacity = Number(settings["capacity"] ?? 1000);
      if (!(capacity > 0)) throw new Fatal(`capacity is ${capacity}: expected more than 0`, { code: "SETTINGS" });
    },
    processBatch: (records) => records.map(write),
    health() {
      if (table.size >= capacity) throw new Error("the table is full");
    },
    close() {
      console.log(`${table.size} orders`);
    },
  },
  { connector: "orders", subscriptions: [{ topic: "/default/orders" }], maxBatchRecords: 500, log: console },
);
