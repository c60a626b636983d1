import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { targetOf } from "../src/address.js";
import { Changes } from "../src/changes.js";
import { SourceServiceRunRequest } from "../src/gen/danube/connector/v1/source.js";
import { HealthCheck } from "../src/health.js";
import { Busy, Retry, SinkRecord, VERSION } from "../src/index.js";
import { backoff, Patience } from "../src/patience.js";
import { SidecarError } from "../src/sidecar-error.js";
import { HeldLanes } from "../src/sink/lanes.js";
import { Pause } from "../src/sink/pause.js";
import { encoded, recordsFrame } from "../src/source/convert.js";
import { Outbox, type Entry } from "../src/source/outbox.js";
import { shortened } from "../src/text.js";
import { duration } from "../src/time.js";
import { Turns } from "../src/turns.js";

test("the version is that of the package", () => {
  const { version } = JSON.parse(readFileSync("package.json", "utf8")) as { version: string };
  assert.equal(VERSION, version);
});

test("all kinds of address are read", () => {
  assert.equal(targetOf("http://127.0.0.1:6670"), "dns:127.0.0.1:6670");
  assert.equal(targetOf("http://[::1]:6670/"), "dns:[::1]:6670");
  assert.equal(targetOf("unix:///run/s.sock"), "unix:/run/s.sock");
  assert.equal(targetOf("unix:/run/s.sock"), "unix:/run/s.sock");
});

test("other addresses are refused with the expected form", () => {
  for (const address of ["", "localhost:6670", "https://h:1", "http://h", "http://h:0", "http://h:1/x", "unix:r", "unix://r"]) {
    assert.throws(() => targetOf(address), (error: Error) => {
      return error.message.includes(`"${address}"`) && error.message.includes("http://HOST:PORT or unix:///PATH");
    });
  }
});

test("long texts are cut between characters", () => {
  assert.equal(shortened("short"), "short");
  assert.equal(shortened("é".repeat(1024)), "é".repeat(512));
  assert.equal(Buffer.byteLength(shortened(`a${"é".repeat(1024)}`)), 1023);
});

test("durations keep their fractions", () => {
  assert.deepEqual(duration(1500.25), { seconds: 1n, nanos: 500_250_000 });
  assert.deepEqual(duration(0), { seconds: 0n, nanos: 0 });
});

test("a time to wait that is none is refused", () => {
  assert.throws(() => new Retry("busy", { after: NaN }), RangeError);
  assert.throws(() => new Retry("busy", { after: -1 }), RangeError);
});

test("a payload that is no text is not read as one", () => {
  assert.throws(() => new SinkRecord({ payload: Buffer.from([0xff]) }).text(), TypeError);
});

test("backoff doubles from 100 ms to 10 s, with full jitter", () => {
  const longest = [0, 1, 6, 7, 2000].map((failures) => backoff(failures, () => 1));
  assert.deepEqual(longest, [100, 200, 6400, 10_000, 10_000]);
  assert.equal(backoff(5, () => 0), 0);
});

function patience(): { patience: Patience; lines: string[]; clock: { now: number } } {
  const lines: string[] = [];
  const clock = { now: 0 };
  const log = { info: (line: string) => lines.push(line), warn: (line: string) => lines.push(`warn: ${line}`) };
  const asked = new Patience("http://a:1", log, () => clock.now, () => 1);
  return { patience: asked, lines, clock };
}

test("a session that lasted makes the next try come soon", () => {
  const { patience: asked, clock } = patience();
  const lost = SidecarError.ended();
  assert.deepEqual([asked.failed(lost), asked.failed(lost)], [100, 200]);
  asked.opened("s");
  clock.now += 4_999;
  assert.equal(asked.failed(lost), 400);
  asked.opened("s");
  clock.now += 5_000;
  assert.equal(asked.failed(lost), 100);
});

test("a sidecar that cannot be reached is worth a line at once, and then one every 30 s", () => {
  const { patience: asked, lines, clock } = patience();
  const away = SidecarError.unreachable("http://a:1", "refused");
  for (const at of [0, 10_000, 29_999, 30_000, 59_999]) {
    clock.now = at;
    asked.failed(away);
  }
  assert.equal(lines.length, 2);
  assert.match(lines[0] ?? "", /^warn: no sidecar answers at http:\/\/a:1: refused/);
});

test("a health check that does not end is an answer, and checks do not overlap", async () => {
  let checks = 0;
  const health = (): Promise<void> => {
    checks += 1;
    return new Promise(() => undefined);
  };
  const check = new HealthCheck({ health }, 10);
  const [first, second] = await Promise.all([check.answer({ probeId: 1n }), check.answer({ probeId: 2n })]);

  assert.deepEqual([first.probeId, second.probeId, first.status, checks], [1n, 2n, 2, 1]);
  assert.match(first.message, /did not end/);
});

test("calls take turns, also behind one that failed", async () => {
  const turns = new Turns();
  const lines: string[] = [];
  const failing = turns.take(() => Promise.reject(new Error("no")));
  const second = turns.take(() => void lines.push("second"));
  assert.equal(turns.idle, false);
  await assert.rejects(failing);
  await second;
  assert.ok(turns.idle);
});

test("waiting for a condition has a limit", async () => {
  assert.equal(await new Changes().until(() => false, 1), false);
});

test("the memory of held lanes is bounded", () => {
  const lanes = new HeldLanes();
  for (let key = 0; key <= 10_000; key += 1) lanes.hold(new SinkRecord({ key: String(key) }), 1n);
  assert.ok(lanes.admits(new SinkRecord({ key: "0" }), 2n));
  assert.ok(!lanes.admits(new SinkRecord({ key: "10000" }), 2n));
});

test("lanes of different topics and keys do not meet", () => {
  const lanes = new HeldLanes();
  lanes.hold(new SinkRecord({ topic: "/default/a", key: "b" }), 1n);
  assert.ok(lanes.admits(new SinkRecord({ topic: "/default/ab", key: "" }), 2n));
  assert.ok(lanes.admits(new SinkRecord({ topic: "/default/a" }), 2n));
});

test("what was in hand when a lane was held does not open it", () => {
  const lanes = new HeldLanes();
  lanes.hold(new SinkRecord({ key: "k", attempt: 2 }), 5n);
  assert.ok(!lanes.admits(new SinkRecord({ key: "k", attempt: 2 }), 5n));
  assert.ok(lanes.admits(new SinkRecord({ key: "k", attempt: 3 }), 6n));
});

test("a pause is never shortened, and says what is left of it", () => {
  const pause = new Pause();
  assert.equal(pause.left(0), undefined);
  pause.begin(new Busy("later", { code: "LIMIT", after: 2000 }), 0);
  pause.begin(new Busy("sooner", { after: 1000 }), 0);
  const left = pause.left(500);
  assert.deepEqual([left?.message, left?.code, left?.after], ["later", "LIMIT", 1500]);
  assert.equal(pause.left(2000), undefined);
  pause.begin(new Busy("for now"), 2000);
  assert.equal(pause.left(2000)?.after, 1000);
  assert.throws(() => new Busy("never", { after: -1 }), RangeError);
});

test("records that are encoded once make the frame that the generated code makes", () => {
  const records = [
    { payload: "é", key: "", attributes: { a: "b" }, position: { sourcePartition: "p", offset: 2n ** 64n - 1n, metadata: "m" } },
    { topic: "/default/t", payload: new Uint8Array(300) },
  ];
  const bytes = recordsFrame(2 ** 40, records.map(encoded));
  const read = SourceServiceRunRequest.decode(bytes);

  assert.equal(read.records?.firstNumber, 2n ** 40n);
  assert.deepEqual({ ...read.records?.records[0]?.position }, records[0]?.position);
  assert.deepEqual(Buffer.from(SourceServiceRunRequest.encode(read).finish()), Buffer.from(bytes));
});

function outbox(...offsets: bigint[]): Outbox {
  const box = new Outbox();
  box.reopen([], 4 << 20);
  box.demand({ records: 100n, bytes: 1n << 40n });
  for (const offset of offsets) box.accept(entry(offset));
  return box;
}

function entry(offset: bigint): Entry {
  return { bytes: new Uint8Array(10), position: { sourcePartition: "p", offset } };
}

test("of records with one position only the first is taken to be committed", () => {
  const box = outbox(1n, 2n, 2n, 3n);
  const safe = box.reopen([{ sourcePartition: "p", offset: 2n }], 4 << 20);

  assert.deepEqual([safe.length, box.size], [2, 2]);
});

test("a position that no record stands at shows nothing", () => {
  const box = outbox(1n, 2n);
  assert.deepEqual(box.reopen([{ sourcePartition: "p", offset: 9n }, { sourcePartition: "q", offset: 1n }], 4 << 20), []);
});

test("demand never shrinks, and commits that come twice change nothing", () => {
  const box = outbox(1n, 2n);
  box.demand({ records: 1n, bytes: 1n });
  box.nextFrame();
  assert.ok(box.isSent);
  assert.equal(box.commit(1).length, 1);
  assert.equal(box.commit(1).length, 0);
  assert.equal(box.size, 1);
});
