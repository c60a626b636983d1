// A source that others push to: each POST becomes a record, and is answered when Danube has it.

import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { buffer } from "node:stream/consumers";
import { runSource } from "@danube-messaging/connector";

await runSource(
  {
    async stream(emitter, signal) {
      const server = createServer(async (request, response) => {
        try {
          const emitted = emitter.tryEmit({ payload: await buffer(request) });
          await emitted?.committed;
          // Without room: Too Many Requests, or Service Unavailable while no sidecar is there.
          response.writeHead(emitted ? 204 : emitter.connected ? 429 : 503);
        } catch {
          response.writeHead(503); // It stops, or the record can never be published.
        }
        response.end();
      });
      server.listen(Number(process.env["PORT"] ?? 8080), "127.0.0.1");
      await once(server, "listening");
      console.log(`listening on ${(server.address() as AddressInfo).port}`);
      if (!signal.aborted) await once(signal, "abort");
      server.close();
    },
  },
  { connector: "webhook", producers: [{ topic: "/default/hooks" }] },
);
