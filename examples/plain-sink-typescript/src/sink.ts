// A Danube sink on nothing but generated stubs: each record becomes a file, named after its identity.
import { fsyncSync, mkdirSync, openSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { credentials } from "@grpc/grpc-js";
import { Capability, Health_Status } from "./gen/danube/connector/v1/common.js";
import { SinkRecord, SinkServiceClient, SinkServiceRunRequest } from "./gen/danube/connector/v1/sink.js";

const { DANUBE_SIDECAR_ADDRESS = "http://127.0.0.1:6670", CONNECTOR_NAME = "plain-sink" } = process.env;
const { PLAIN_SINK_TOPIC = "/default/events", PLAIN_SINK_OUT = "records" } = process.env;

mkdirSync(PLAIN_SINK_OUT, { recursive: true });
const folder = openSync(PLAIN_SINK_OUT, "r");

// Writes a batch, and acks it once its files are on disk. A file is whole or not there, as in a bucket, and
// has the record's identity for its name: a record that is offered again changes nothing.
function write(records: SinkRecord[]) {
  for (const { dedupId, payload } of records) {
    const path = join(PLAIN_SINK_OUT, dedupId);
    writeFileSync(`${path}.part`, payload, { flush: true });
    renameSync(`${path}.part`, path);
  }
  fsyncSync(folder);
  return { acked: [{ first: records.at(0)?.deliveryId, last: records.at(-1)?.deliveryId }] };
}

const address = DANUBE_SIDECAR_ADDRESS.replace(/^http:\/\//, "");
const client = new SinkServiceClient(address, credentials.createInsecure(), { "grpc.default_authority": "localhost" });
const stream = client.run();

// Runs between two batches, when nothing is left in hand.
function leave() {
  if (stream.writable) stream.end(SinkServiceRunRequest.fromPartial({ drained: {} }));
}

stream.on("data", ({ batch, probe, drain }) => {
  if (batch && stream.writable) stream.write(SinkServiceRunRequest.fromPartial({ results: write(batch.records) }));
  if (probe && stream.writable) {
    const health = { probeId: probe.probeId, status: Health_Status.STATUS_HEALTHY };
    stream.write(SinkServiceRunRequest.fromPartial({ health }));
  }
  if (drain) leave();
});
stream.on("error", (error) => {
  console.error(`sink: the stream to the sidecar ended: ${error.message}`);
  process.exit(1);
});
stream.on("end", () => client.close());
process.on("SIGTERM", leave).on("SIGINT", leave);
stream.write(SinkServiceRunRequest.fromPartial({
  open: {
    connector: CONNECTOR_NAME,
    subscriptions: [{ topic: PLAIN_SINK_TOPIC }],
    capabilities: [Capability.CAPABILITY_DRAIN, Capability.CAPABILITY_PROBE],
  },
}));
