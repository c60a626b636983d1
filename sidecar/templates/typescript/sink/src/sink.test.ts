import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { Reject, SinkRecord } from "@danube-messaging/connector";
import { FileSink } from "./sink.js";

test("text becomes a line, and anything else is rejected", async (t) => {
  const folder = mkdtempSync(join(tmpdir(), "sink-"));
  t.after(() => rmSync(folder, { recursive: true }));
  const path = join(folder, "out.jsonl");
  const sink = new FileSink();
  await sink.open({ path });
  const outcomes = await sink.processBatch([
    new SinkRecord({ dedupId: "1", topic: "/default/t", key: "k", payload: Buffer.from("hello") }),
    new SinkRecord({ dedupId: "2", topic: "/default/t", payload: Uint8Array.of(0xff) }),
    new SinkRecord({ dedupId: "3", topic: "/default/t", payload: Buffer.from("bye") }),
  ]);

  assert.deepEqual([outcomes[0], outcomes[2]], ["written", "written"]);
  assert.ok(outcomes[1] instanceof Reject && outcomes[1].code === "NOT_TEXT");
  // Before the sink is closed: what is answered is on the disk.
  const lines = readFileSync(path, "utf8").trimEnd().split("\n");
  assert.deepEqual(lines.map((text) => JSON.parse(text)), [
    { dedup_id: "1", key: "k", payload: "hello", topic: "/default/t" },
    { dedup_id: "3", payload: "bye", topic: "/default/t" },
  ]);
  await sink.close();
});
