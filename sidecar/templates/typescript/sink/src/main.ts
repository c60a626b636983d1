// The program: takes records of Danube from the sidecar, and hands them to the sink.

import { runSink } from "@danube-messaging/connector";
import { FileSink } from "./sink.js";

await runSink(new FileSink(), {
  connector: process.env["CONNECTOR_NAME"] ?? "{{name}}",
  subscriptions: [{ topic: "/default/{{name}}" }], // Unless the sidecar's file names others.
  log: console,
});
