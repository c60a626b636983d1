import assert from "node:assert/strict";
import { test } from "node:test";
import { runSource, type Emitter } from "../src/index.js";
import { received, stage, type Stage } from "./support/sidecar.js";
import { Gate, Journal } from "./support/wait.js";

/** Runs a source that emits what the test says, until it is stopped. */
function push({ options }: Stage, stopTimeout = 2_000): { emitter: Promise<Emitter>; run: Promise<void> } {
  const gate = new Gate<Emitter>();
  const stream = async (emitter: Emitter, signal: AbortSignal): Promise<void> => {
    gate.open(emitter);
    await new Promise((stopped) => signal.addEventListener("abort", stopped));
  };
  return { emitter: gate.opened, run: runSource({ stream }, { ...options, stopTimeout }) };
}

const demand = (records: number) => ({ demand: { records: BigInt(records), bytes: 1n << 40n } });

test("emit waits for room, in the order of the calls", async (t) => {
  const set = await stage(t);
  const { emitter } = push(set);
  const call = await set.sidecar.openSource();
  const { emit } = await emitter;
  const journal = new Journal();
  for (const payload of ["a", "b", "c"]) void emit({ payload }).then(() => journal.write(payload));
  call.send(demand(2));
  await journal.has("b");
  assert.deepEqual(journal.lines, ["a", "b"]);
  assert.deepEqual(await received(call), [
    [1, "a"],
    [2, "b"],
  ]);
  call.send(demand(3));
  assert.deepEqual(await received(call), [[3, "c"]]);
});

test("tryEmit tells whether there is room", async (t) => {
  const set = await stage(t);
  const { emitter } = push(set);
  const call = await set.sidecar.openSource();
  const { emit, tryEmit } = await emitter;
  assert.equal(tryEmit({ payload: "early" }), undefined);
  call.send(demand(2));
  await emit({ payload: "a" });
  assert.ok(tryEmit({ payload: "b" }));
  assert.equal(tryEmit({ payload: "c" }), undefined);

  assert.equal((await received(call)).length, 2);
});

test("a source knows whether a sidecar is there that takes records", async (t) => {
  const set = await stage(t);
  const { emitter } = push(set);
  const first = await set.sidecar.openSource();
  const source = await emitter;
  assert.equal(source.connected, true);
  first.send({ drain: {} });
  assert.ok((await first.next()).drained);
  assert.equal(source.connected, false);
  first.end();
  const second = await set.sidecar.openSource();
  second.send(demand(1));
  await source.emit({ payload: "a" });
  assert.equal(source.connected, true);
  await received(second);
  second.fail();
  const third = await set.sidecar.source();
  assert.equal(source.connected, false);
  third.send({ opened: { sessionId: "s" } });
  third.send(demand(2));
  await source.emit({ payload: "b" });
  assert.equal(source.connected, true);
  set.stop();
  assert.equal(source.connected, false);
});

test("an emitted record tells when it is committed, or that it is rejected", async (t) => {
  const set = await stage(t);
  const { emitter } = push(set);
  const call = await set.sidecar.openSource();
  const { emit } = await emitter;
  call.send(demand(2));
  const first = await emit({ payload: "a" });
  const second = await emit({ payload: "b" });
  for (let count = 0; count < 2; ) count += (await received(call)).length;
  call.send({ rejected: { number: 2n, code: "UNDECLARED_TOPIC", message: "no such topic" } });
  call.send({ committed: { number: 2n } });

  await assert.rejects(second.committed, { name: "RecordRejected", code: "UNDECLARED_TOPIC" });
  await first.committed;
});

test("what is not committed outlives a cut, and the demand of the next session counts it", async (t) => {
  const set = await stage(t);
  const { emitter } = push(set);
  const first = await set.sidecar.openSource();
  const { emit, tryEmit } = await emitter;
  first.send(demand(2));
  const emitted = await emit({ payload: "a" });
  await emit({ payload: "b" });
  await received(first);
  first.fail();
  const second = await set.sidecar.openSource();
  second.send(demand(2));
  assert.deepEqual(await received(second), [
    [1, "a"],
    [2, "b"],
  ]);
  assert.equal(tryEmit({ payload: "c" }), undefined);
  second.send({ committed: { number: 1n } });
  await emitted.committed;
  assert.equal(tryEmit({ payload: "c" }), undefined);
  second.send(demand(3));
  await emit({ payload: "c" });
  assert.deepEqual(await received(second), [[3, "c"]]);
});

test("at a drain there is room only in the next session", async (t) => {
  const set = await stage(t);
  const { emitter } = push(set);
  const call = await set.sidecar.openSource();
  const { emit, tryEmit } = await emitter;
  call.send(demand(9));
  call.send({ drain: {} });
  assert.ok((await call.next()).drained);
  assert.equal(tryEmit({ payload: "a" }), undefined);
  const emitted = emit({ payload: "b" });
  call.end();
  const next = await set.sidecar.openSource();
  next.send(demand(9));
  await emitted;

  assert.deepEqual(await received(next), [[1, "b"]]);
});

test("a record that fits no frame is an error at its caller", async (t) => {
  const set = await stage(t);
  const { emitter } = push(set);
  const call = await set.sidecar.source();
  call.send({ opened: { limits: { maxInboundFrameBytes: 1000n } } });
  const { emit } = await emitter;

  await assert.rejects(emit({ payload: "x".repeat(1000) }), { name: "RecordTooLarge" });
});

test("at the stop those who wait are told so, and what was taken is sent", async (t) => {
  const set = await stage(t);
  const { emitter, run } = push(set, 100);
  const call = await set.sidecar.openSource();
  const { emit } = await emitter;
  call.send(demand(1));
  const taken = await emit({ payload: "a" });
  const waiting = emit({ payload: "b" });
  set.stop();
  await assert.rejects(waiting, { name: "SourceStopped" });
  assert.deepEqual(await received(call), [[1, "a"]]);
  assert.ok((await call.next()).drained);
  call.end();
  await run;

  await assert.rejects(taken.committed, { name: "SourceStopped" });
  await assert.rejects(emit({ payload: "c" }), { name: "SourceStopped" });
});

test("a source whose function returns has ended, with those that still wait", async (t) => {
  const { sidecar, options } = await stage(t);
  const stream = (emitter: Emitter): void => {
    for (const payload of ["a", "b"]) void emitter.emit({ payload });
  };
  const run = runSource({ stream }, options);
  const call = await sidecar.openSource();
  call.send(demand(1));
  assert.deepEqual(await received(call), [[1, "a"]]);
  call.send(demand(2));
  assert.deepEqual(await received(call), [[2, "b"]]);
  assert.ok((await call.next()).drained);
  call.send({ committed: { number: 2n } });
  await call.halfClosed();
  call.end();

  await run;
});

test("a source whose function throws fails the run", async (t) => {
  const { sidecar, options } = await stage(t);
  const stream = (): void => {
    throw new Error("no connection");
  };
  const run = runSource({ stream }, options);
  const call = await sidecar.openSource();
  assert.deepEqual((await call.next()).fault, { code: "EXCEPTION", message: "no connection" });
  call.end();

  await assert.rejects(run, /no connection/);
});
