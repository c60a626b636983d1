// The smallest source that goes on where it was: the numbers from 1 to 100.

import { runSource, type SourceRecord } from "@danube-messaging/connector";

let next = 1n;

await runSource(
  {
    restore(positions) {
      next = (positions[0]?.offset ?? 0n) + 1n;
    },
    poll() {
      if (next > 100n) return undefined; // No more ever; [] is: none at the moment.
      const record: SourceRecord = {
        payload: `number ${next}`,
        position: { sourcePartition: "numbers", offset: next },
      };
      next += 1n;
      return [record];
    },
  },
  { connector: "hello-source", producers: [{ topic: "/default/hello" }] },
);
