// The smallest sink: prints each record.

import { runSink } from "@danube-messaging/connector";

await runSink(
  {
    process(record) {
      console.log(record.dedupId, record.key, record.text()); // Write it where you want it.
    },
  },
  { connector: "hello", subscriptions: [{ topic: "/default/hello" }] },
);
