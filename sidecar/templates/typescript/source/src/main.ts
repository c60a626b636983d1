// The program: takes records of the source, and hands them to the sidecar.

import { runSource } from "@danube-messaging/connector";
import { NumberSource } from "./source.js";

await runSource(new NumberSource(), {
  connector: process.env["CONNECTOR_NAME"] ?? "{{name}}",
  producers: [{ topic: "/default/{{name}}" }], // Unless the sidecar's file names others.
  log: console,
});
