import assert from "node:assert/strict";
import { test } from "node:test";
import { status } from "@grpc/grpc-js";
import { Fatal, runSource, type PollSource, type Polled, type Position, type SourceRecord } from "../src/index.js";
import { received, stage, type SourceCall } from "./support/sidecar.js";
import { Gate, Journal } from "./support/wait.js";

const MANY = { demand: { records: 1000n, bytes: 1n << 40n } };

function record(n: number, more: Partial<SourceRecord> = {}): SourceRecord {
  return { payload: String(n), position: { sourcePartition: "p", offset: BigInt(n) }, ...more };
}

/** Polls that bring so many records each, numbered on; then none. */
function polls(...counts: number[]): () => Polled {
  let n = 0;
  return () => Array.from({ length: counts.shift() ?? 0 }, () => record((n += 1)));
}

function offsets(positions: Position[]): string {
  return positions.map(({ offset }) => offset).join(" ");
}

function demand(call: SourceCall, records: number, bytes = 1 << 30): void {
  call.send({ demand: { records: BigInt(records), bytes: BigInt(bytes) } });
}

test("open says who the source is and where it publishes", async (t) => {
  const { sidecar, options } = await stage(t);
  const producers = [{ topic: "/default/t", partitions: 3, reliable: false, schemaSubject: "s" }];
  void runSource({ poll: polls() }, { ...options, producers });
  const { open } = await sidecar.source();

  assert.equal(open.connector, "test");
  assert.deepEqual(open.capabilities, [1, 2, 5]);
  assert.deepEqual({ ...open.producers[0] }, producers[0]);
});

test("positions that come in pages are restored together", async (t) => {
  const { sidecar, options } = await stage(t);
  const restored = new Journal();
  void runSource({ poll: polls(), restore: (positions) => restored.write(offsets(positions)) }, options);
  const call = await sidecar.source();
  const place = (n: number): { sourcePartition: string; offset: bigint } => ({ sourcePartition: `p${n}`, offset: BigInt(n) });
  call.send({ opened: { sessionId: "s", epoch: 7n, settingsJson: "{}", positions: [place(1)], morePositions: true } });
  call.send({ positions: { positions: [place(2)], more: true } });
  call.send({ positions: { positions: [place(3)] } });
  await restored.has("1 2 3");
});

test("no more is sent than demanded, numbered without holes", async (t) => {
  const { sidecar, options } = await stage(t);
  void runSource({ poll: polls(5, 1) }, options);
  const call = await sidecar.openSource();
  demand(call, 2);
  assert.deepEqual(await received(call), [
    [1, "1"],
    [2, "2"],
  ]);
  demand(call, 4);
  assert.deepEqual(await received(call), [
    [3, "3"],
    [4, "4"],
  ]);
  demand(call, 6);
  assert.deepEqual(await received(call), [[5, "5"]]);
  assert.deepEqual(await received(call), [[6, "6"]]);
});

test("the record that reaches the byte count may exceed it, and none after it", async (t) => {
  const { sidecar, options } = await stage(t);
  void runSource({ poll: polls(3) }, options);
  const call = await sidecar.openSource();
  demand(call, 10, 1);
  assert.deepEqual(await received(call), [[1, "1"]]);
  call.send({ probe: { probeId: 1n } });
  assert.ok((await call.next()).health);
  demand(call, 10, 1000);
  assert.equal((await received(call)).length, 2);
});

test("a source is polled only while there is demand, and not while records wait", async (t) => {
  const { sidecar, options } = await stage(t);
  const journal = new Journal();
  const poll = polls(2, 1, 0, 0);
  void runSource({ poll: () => (journal.write("poll"), poll()) }, { ...options, pollInterval: 1 });
  const call = await sidecar.openSource();
  call.send({ probe: { probeId: 1n } });
  assert.ok((await call.next()).health);
  assert.deepEqual(journal.lines, []);
  demand(call, 1);
  await received(call);
  call.send({ probe: { probeId: 2n } });
  assert.ok((await call.next()).health);
  assert.deepEqual(journal.lines, ["poll"]);
  demand(call, 3);
  await received(call);
  await received(call);
  assert.deepEqual(journal.lines, ["poll", "poll"]);
});

test("what is committed is told in order, and never while a poll runs", async (t) => {
  const { sidecar, options } = await stage(t);
  const journal = new Journal();
  const gate = new Gate();
  const poll = polls(2, 2);
  const source: PollSource = {
    async poll() {
      const records = poll();
      if (journal.lines.length === 0) return journal.write("first"), records;
      journal.write("begin");
      await gate.opened;
      journal.write("end");
      return records;
    },
    commit: (positions) => journal.write(offsets(positions)),
  };
  void runSource(source, options);
  const call = await sidecar.openSource();
  call.send(MANY);
  await received(call);
  await journal.has("begin");
  call.send({ committed: { number: 1n } });
  call.send({ committed: { number: 2n } });
  call.send({ probe: { probeId: 1n } });
  assert.ok((await call.next()).health);
  gate.open();
  await journal.has("1 2");

  assert.deepEqual(journal.lines.slice(0, 4), ["first", "begin", "end", "1 2"]);
});

test("after a cut what is not committed is sent again, numbered from one", async (t) => {
  const { sidecar, options } = await stage(t);
  const journal = new Journal();
  void runSource({ poll: polls(3), commit: (positions) => journal.write(offsets(positions)) }, options);
  const first = await sidecar.openSource();
  first.send(MANY);
  await received(first);
  first.send({ committed: { number: 1n } });
  await journal.has("1");
  first.fail();
  const second = await sidecar.openSource();
  demand(second, 1);
  assert.deepEqual(await received(second), [[1, "2"]]);
  demand(second, 9);
  assert.deepEqual(await received(second), [[2, "3"]]);
  second.send({ committed: { number: 2n } });

  await journal.has("2 3");
});

test("what the positions of a new session show to be committed is not sent again", async (t) => {
  const { sidecar, options } = await stage(t);
  const journal = new Journal();
  const records = [1, 2, 3, 4].map((n) => record(n, n === 2 ? { position: { sourcePartition: "q", offset: 1n } } : {}));
  const source: PollSource = {
    poll: () => records.splice(0),
    restore: (positions) => journal.write(`restore ${offsets(positions)}`),
    commit: (positions) => journal.write(offsets(positions)),
  };
  void runSource(source, options);
  const first = await sidecar.openSource([0n]);
  first.send(MANY);
  await received(first);
  first.fail();
  const second = await sidecar.openSource([3n]);
  second.send(MANY);

  assert.deepEqual(await received(second), [
    [1, "2"],
    [2, "4"],
  ]);
  assert.deepEqual(journal.lines, ["restore 0", "1 3"]);
});

test("a rejected record is told to the source, and is among the committed ones later", async (t) => {
  const { sidecar, options } = await stage(t);
  const journal = new Journal();
  void runSource(
    {
      poll: polls(3),
      rejected: ({ code, record }) => journal.write(`${code} ${record.position?.offset} ${record.payload}`),
      commit: (positions) => journal.write(offsets(positions)),
    },
    options,
  );
  const call = await sidecar.openSource();
  call.send(MANY);
  await received(call);
  call.send({ committed: { number: 1n } });
  call.send({ rejected: { number: 2n, code: "TOO_LARGE", message: "too large" } });
  call.send({ committed: { number: 3n } });

  await journal.has("2 3");
  assert.deepEqual(journal.lines, ["1", "TOO_LARGE 2 2", "2 3"]);
});

test("a hook that throws stops nothing, unless it is fatal", async (t) => {
  const { sidecar, options } = await stage(t);
  const errors = [new Error("busy"), new Fatal("gone", { code: "GONE" })];
  const commit = (): void => {
    throw errors.shift();
  };
  const run = runSource({ poll: polls(2), commit }, options);
  const call = await sidecar.openSource();
  call.send(MANY);
  await received(call);
  call.send({ committed: { number: 1n } });
  call.send({ probe: { probeId: 1n } });
  assert.ok((await call.next()).health);
  call.send({ committed: { number: 2n } });
  assert.equal((await call.next()).fault?.code, "GONE");
  call.end();

  await assert.rejects(run, { code: "GONE" });
});

test("a poll that throws is repeated, unless it is fatal", async (t) => {
  const { sidecar, options } = await stage(t);
  const answers = [new Error("busy"), [record(1)], new Fatal("gone", { code: "GONE" })];
  const poll = (): Polled => {
    const answer = answers.shift();
    if (answer instanceof Error) throw answer;
    return answer;
  };
  const run = runSource({ poll }, options);
  const call = await sidecar.openSource();
  call.send(MANY);
  assert.deepEqual(await received(call), [[1, "1"]]);
  assert.equal((await call.next()).fault?.code, "GONE");
  call.end();

  await assert.rejects(run, { code: "GONE" });
});

test("at a drain nothing more is sent, and the rest goes out in the next session", async (t) => {
  const { sidecar, options } = await stage(t);
  void runSource({ poll: polls(3) }, options);
  const call = await sidecar.openSource();
  demand(call, 1);
  await received(call);
  call.send({ drain: {} });
  assert.ok((await call.next()).drained);
  call.send({ drain: {} });
  call.send(MANY);
  call.send({ probe: { probeId: 1n } });
  assert.ok((await call.next()).health, "nothing is sent behind `drained`");
  call.send({ committed: { number: 1n } });
  call.end();
  const next = await sidecar.openSource();
  next.send(MANY);

  assert.deepEqual(await received(next), [
    [1, "2"],
    [2, "3"],
  ]);
});

test("at the stop what was read is sent as far as it may be, and its commit is awaited", async (t) => {
  const { sidecar, options, stop } = await stage(t);
  const journal = new Journal();
  const gate = new Gate<SourceRecord[]>();
  const poll = (): Promise<SourceRecord[]> => (journal.write("poll"), gate.opened);
  const commit = (positions: Position[]): void => journal.write(offsets(positions));
  const run = runSource({ poll, commit, close: () => journal.write("closed") }, options);
  const call = await sidecar.openSource();
  demand(call, 2);
  await journal.has("poll");
  stop();
  gate.open([record(1), record(2), record(3)]);
  assert.equal((await received(call)).length, 2);
  assert.ok((await call.next()).drained);
  call.send({ committed: { number: 2n } });
  await journal.has("1 2");
  call.end();
  await run;

  assert.deepEqual(journal.lines, ["poll", "1 2", "closed"]);
});

test("commits that do not come do not hold the stop", async (t) => {
  const { sidecar, options, stop } = await stage(t);
  const run = runSource({ poll: polls(1) }, { ...options, stopTimeout: 100 });
  const call = await sidecar.openSource();
  call.send(MANY);
  await received(call);
  stop();
  assert.ok((await call.next()).drained);
  await call.halfClosed();
  call.end();

  await run;
});

test("a source that has ended sends everything, whatever happens, and returns when it is committed", async (t) => {
  const { sidecar, options } = await stage(t);
  const last = [1, 2, 3].map((n) => record(n));
  const run = runSource({ poll: () => ({ last }) }, options);
  const first = await sidecar.openSource();
  demand(first, 1);
  await received(first);
  first.send({ committed: { number: 1n } });
  first.fail();
  const second = await sidecar.openSource([1n]);
  second.send(MANY);
  assert.equal((await received(second)).length, 2);
  assert.ok((await second.next()).drained);
  second.send({ committed: { number: 2n } });
  await second.halfClosed();
  second.end();

  await run;
});

test("frames are closed at about a mebibyte", async (t) => {
  const { sidecar, options } = await stage(t);
  const large = (): SourceRecord => ({ payload: new Uint8Array(600_000) });
  let polled = false;
  const poll = (): SourceRecord[] => (polled ? [] : ((polled = true), [large(), large(), large()]));
  void runSource({ poll }, options);
  const call = await sidecar.openSource();
  call.send(MANY);

  for (const first of [1n, 2n, 3n]) assert.equal((await call.next()).records?.firstNumber, first);
});

test("a polled record that fits no frame ends the run", async (t) => {
  const { sidecar, options } = await stage(t);
  const run = runSource({ poll: () => [{ payload: new Uint8Array(2000) }] }, options);
  const call = await sidecar.source();
  call.send({ opened: { limits: { maxInboundFrameBytes: 1000n } } });
  call.send(MANY);
  assert.ok((await call.next()).fault);
  call.end();

  await assert.rejects(run, { name: "RecordTooLarge" });
});

test("the commit of a record that was not sent ends the session, not the run", async (t) => {
  const { sidecar, options } = await stage(t);
  void runSource({ poll: polls(1) }, options);
  const call = await sidecar.openSource();
  call.send(MANY);
  await received(call);
  call.send({ committed: { number: 2n } });
  const next = await sidecar.openSource();
  next.send(MANY);

  assert.deepEqual(await received(next), [[1, "1"]]);
});

test("another process of the same source ends this one", async (t) => {
  const { sidecar, options } = await stage(t);
  const run = runSource({ poll: polls() }, options);
  (await sidecar.openSource()).fail(status.ABORTED, "epoch 8");

  await assert.rejects(run, /another process of this source has taken over.*epoch 8/);
});
