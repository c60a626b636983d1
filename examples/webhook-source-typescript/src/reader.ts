// Prints the orders: for a look at what the webhook source publishes.

import { runSink } from "@danube-messaging/connector";

await runSink(
  {
    process(record) {
      console.log(record.key, record.text(), record.attributes);
    },
  },
  { connector: "order-reader", subscriptions: [{ topic: "/default/orders" }], log: console },
);
