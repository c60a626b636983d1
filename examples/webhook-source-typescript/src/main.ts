// Webhooks become records of Danube topics. A POST is answered 202 when Danube has its record.

import { once } from "node:events";
import { runSource } from "@danube-messaging/connector";
import { WebhookServer } from "./server.js";
import { settingsOf, type WebhookSettings } from "./settings.js";

let settings: WebhookSettings;
let server: WebhookServer | undefined;

try {
  await runSource(
    {
      open(given) {
        settings = settingsOf(given, process.env);
      },
      async stream(emitter, signal) {
        server = new WebhookServer(settings, emitter);
        console.log(`listening on ${await server.listen()}`);
        if (!signal.aborted) await once(signal, "abort");
        // The SDK waits for the commits of what was taken: their senders are answered meanwhile.
        server.close();
      },
      health() {
        if (!server?.listening) throw new Error("the HTTP server does not listen");
      },
    },
    { connector: process.env["CONNECTOR_NAME"] ?? "webhooks", log: console },
  );
} finally {
  await server?.end();
}
