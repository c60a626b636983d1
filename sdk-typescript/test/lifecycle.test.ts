import assert from "node:assert/strict";
import { test } from "node:test";
import { inspect } from "node:util";
import { status } from "@grpc/grpc-js";
import { runSink, SidecarError, type Outcome, type SinkRecord } from "../src/index.js";
import { answers, folder, offer, ScriptedSidecar, stage, type SinkCall } from "./support/sidecar.js";
import { details, retryInfo } from "./support/status.js";
import { Gate, Journal } from "./support/wait.js";

const ignore = { process: () => undefined };

test("open says who the sink is, and nothing that it was not told", async (t) => {
  const { sidecar, options } = await stage(t);
  void runSink(ignore, options);
  const { open } = await sidecar.sink();

  assert.equal(open.connector, "test");
  assert.match(open.sdk, /^danube-connector-typescript\/\d+\.\d+\.\d+$/);
  assert.deepEqual([open.minProtocolVersion, open.maxProtocolVersion], [1, 1]);
  assert.deepEqual(open.capabilities, [1, 2, 3]);
  assert.deepEqual([open.windowRecords, open.windowBytes, open.ordering, open.linger], [0, 0n, undefined, undefined]);
});

test("open carries the options", async (t) => {
  const { sidecar, options } = await stage(t);
  void runSink(ignore, {
    ...options,
    subscriptions: [{ topic: "/default/t", type: "shared" }],
    windowRecords: 10,
    windowBytes: 2 ** 40,
    maxBatchRecords: 5,
    linger: 1500,
    ordering: "partition",
    retry: { maxRetries: 0, initialBackoff: 20 },
  });
  const { open } = await sidecar.sink();

  assert.deepEqual([open.subscriptions[0]?.topic, open.subscriptions[0]?.type], ["/default/t", 2]);
  assert.deepEqual([open.windowRecords, open.windowBytes, open.maxBatchRecords], [10, 2n ** 40n, 5]);
  assert.deepEqual(open.linger, { seconds: 1n, nanos: 500_000_000 });
  assert.equal(open.ordering, 2);
  assert.deepEqual(open.retry, {
    maxRetries: 0,
    initialBackoff: { seconds: 0n, nanos: 20_000_000 },
    maxBackoff: undefined,
  });
});

test("a Unix socket is dialed like a port, and the token rides on the stream", async (t) => {
  const { sidecar, options } = await stage(t, folder(t));
  void runSink(ignore, { ...options, token: "secret" });
  const call = await sidecar.openSink();
  call.send({ batch: { records: [offer(1)] } });

  assert.deepEqual(call.metadata.get("authorization"), ["Bearer secret"]);
  assert.deepEqual([...(await answers(call, 1)).values()], ["written"]);
});

test("a token that no header can carry is refused, and not shown", async () => {
  await assert.rejects(runSink(ignore, { connector: "c", token: "two\nlines" }), (error: Error) => {
    assert.match(error.message, /DANUBE_SIDECAR_TOKEN/);
    return !error.message.includes("lines");
  });
});

test("a sidecar that comes later is found, and its absence is logged once", async (t) => {
  const path = `${folder(t)}/sidecar.sock`;
  const journal = new Journal();
  const stopping = new AbortController();
  const log = { info: () => journal.write("open"), warn: journal.write };
  const run = runSink(ignore, { connector: "c", address: `unix:${path}`, signal: stopping.signal, handleSignals: false, log });
  const why = await journal.begins(`no sidecar answers at unix:${path}: `);
  assert.match(why, /^connect ENOENT \S+; trying again until it works$/);

  const { sidecar } = await ScriptedSidecar.listen(`unix:${path}`);
  t.after(() => sidecar.close());
  const call = await sidecar.openSink();
  await journal.has("open");
  stopping.abort();
  assert.ok((await call.next()).drained);
  call.end();
  await run;
  assert.equal(journal.lines.length, 2);
});

test("the connector gets its settings once, before any record", async (t) => {
  const { sidecar, options } = await stage(t);
  const journal = new Journal();
  const opening = new Gate();
  const open = async (settings: object): Promise<void> => {
    await opening.opened;
    journal.write(JSON.stringify(settings));
  };
  void runSink({ open, process: () => journal.write("record") }, options);
  const first = await sidecar.openSink({ table: "t" });
  first.send({ batch: { records: [offer(1)] } });
  opening.open();
  await answers(first, 1);
  first.fail();
  const second = await sidecar.openSink({ table: "u" });
  second.send({ batch: { records: [offer(1)] } });
  await answers(second, 1);

  assert.deepEqual(journal.lines, ['{"table":"t"}', "record", "record"]);
});

test("a connector that cannot open ends the run, and is not closed", async (t) => {
  const { sidecar, options } = await stage(t);
  const open = (): void => {
    throw new Error("no database");
  };
  const close = (): void => assert.fail("it was never open");
  const run = runSink({ ...ignore, open, close }, options);
  const call = await sidecar.openSink();

  assert.deepEqual((await call.next()).fault, { code: "EXCEPTION", message: "no database" });
  call.end();
  await assert.rejects(run, /no database/);
});

test("probes are answered while a batch is being written", async (t) => {
  const { sidecar, options } = await stage(t);
  const gate = new Gate();
  let sick = false;
  const health = (): void => {
    if (sick) throw new Error("no database");
  };
  void runSink({ process: () => gate.opened, health }, options);
  const call = await sidecar.openSink();
  call.send({ batch: { records: [offer(1)] } });
  call.send({ probe: { probeId: 8n } });
  assert.deepEqual((await call.next()).health, { probeId: 8n, status: 1, message: "", checked: true });
  sick = true;
  call.send({ probe: { probeId: 9n } });
  assert.deepEqual((await call.next()).health, { probeId: 9n, status: 2, message: "no database", checked: true });
  gate.open();

  assert.equal((await answers(call, 1)).get(1), "written");
});

test("what an old session's call comes to is never told in a new one, and no call begins before it ends", async (t) => {
  const { sidecar, options } = await stage(t);
  const gate = new Gate();
  const last = new Gate<SinkCall>();
  const journal = new Journal();
  const processBatch = async (records: SinkRecord[]): Promise<Outcome[]> => {
    journal.write(`begin ${records[0]?.attempt}`);
    await gate.opened;
    journal.write(`end ${records[0]?.attempt}`);
    return records.map(() => "written");
  };
  void runSink({ processBatch }, options);
  const first = await sidecar.openSink();
  first.send({ batch: { records: [offer(1)] } });
  first.send({ batch: { records: [offer(2)] } });
  await journal.has("begin 1");
  first.fail();
  for (const attempt of [2, 3]) {
    const next = await sidecar.openSink();
    next.send({ batch: { records: [offer(11, "", { attempt }), offer(12, "", { attempt })] } });
    next.send({ probe: { probeId: 1n } });
    assert.ok((await next.next()).health, "nothing is told of the old session");
    assert.deepEqual(journal.lines, ["begin 1"]);
    if (attempt === 2) next.fail();
    else last.open(next);
  }
  const session = await last.opened;
  gate.open();

  assert.deepEqual([...(await answers(session, 2)).keys()], [11, 12]);
  assert.deepEqual(journal.lines, ["begin 1", "end 1", "begin 3", "end 3"]);
});

for (const batches of [1, 2]) {
  test(`at a drain what is in hand, of ${batches}, is finished, then \`drained\` is sent, and the sink comes back`, async (t) => {
    const { sidecar, options } = await stage(t);
    const gate = new Gate();
    void runSink({ process: () => gate.opened }, options);
    const call = await sidecar.openSink();
    for (let id = 1; id <= batches; id += 1) call.send({ batch: { records: [offer(id)] } });
    call.send({ drain: {} });
    call.send({ probe: { probeId: 1n } });
    assert.ok((await call.next()).health, "it does not say `drained` yet");
    gate.open();
    assert.equal((await answers(call, batches)).size, batches);
    assert.ok((await call.next()).drained);
    call.send({ drain: {} });
    call.send({ probe: { probeId: 2n } });
    assert.ok((await call.next()).health, "it goes on reading, and does not say it twice");
    call.end();

    await sidecar.openSink();
  });
}

test("at the stop what is in hand is finished, and nothing new is taken", async (t) => {
  const { sidecar, options, stop } = await stage(t);
  const gate = new Gate();
  const journal = new Journal();
  const process = async (record: SinkRecord): Promise<void> => {
    journal.write(record.text());
    await gate.opened;
  };
  const run = runSink({ process, close: () => journal.write("closed") }, options);
  const call = await sidecar.openSink();
  call.send({ batch: { records: [offer(1, "one"), offer(2, "two")] } });
  await journal.has("one");
  stop();
  call.send({ batch: { records: [offer(3, "three")] } });
  call.send({ probe: { probeId: 1n } });
  assert.ok((await call.next()).health);
  gate.open();

  assert.deepEqual([...(await answers(call, 2)).keys()], [1, 2]);
  assert.ok((await call.next()).drained);
  await call.halfClosed();
  call.end();
  await run;
  assert.deepEqual(journal.lines, ["one", "two", "closed"]);
});

test("a record that takes too long does not hold the stop", async (t) => {
  const { sidecar, options, stop } = await stage(t);
  const journal = new Journal();
  const process = async (record: SinkRecord, signal: AbortSignal): Promise<void> => {
    if (record.text() !== "endless") return;
    journal.write("begun");
    await new Promise((late) => signal.addEventListener("abort", late));
    journal.write("late");
  };
  const run = runSink({ process }, { ...options, stopTimeout: 100 });
  const call = await sidecar.openSink();
  call.send({ batch: { records: [offer(1), offer(2, "endless"), offer(3)] } });
  await journal.has("begun");
  stop();

  assert.deepEqual([...(await answers(call, 1)).keys()], [1]);
  assert.ok((await call.next()).drained);
  call.end();
  await run;
  assert.deepEqual(journal.lines, ["begun", "late"]);
});

test("a sink that waits for the sidecar can be stopped", async () => {
  const stopping = new AbortController();
  const options = { connector: "c", address: "unix:/nowhere/sidecar.sock", handleSignals: false };
  const run = runSink(ignore, { ...options, signal: stopping.signal });
  stopping.abort();

  await run;
});

test("what is asked wrong fails at once", async () => {
  await assert.rejects(runSink(ignore, { address: "http://127.0.0.1:1" }), /CONNECTOR_NAME/);
  await assert.rejects(runSink(ignore, { connector: "c", address: "localhost:1" }), /localhost:1.*unix:\/\/\/PATH/);
});

test("a refusal ends the run, with code, reason and message", async (t) => {
  for (const code of [
    status.INVALID_ARGUMENT,
    status.FAILED_PRECONDITION,
    status.PERMISSION_DENIED,
    status.UNAUTHENTICATED,
  ]) {
    const { sidecar, options } = await stage(t);
    const run = runSink(ignore, options);
    (await sidecar.sink()).fail(code, "topic /default/x", details("TOPIC_NOT_ALLOWED"));

    await assert.rejects(run, (error: unknown) => {
      assert.ok(error instanceof SidecarError && error.permanent);
      assert.deepEqual([error.status, error.reason], [status[code], "TOPIC_NOT_ALLOWED"]);
      assert.match(error.message, new RegExp(`${status[code]}, TOPIC_NOT_ALLOWED.*topic /default/x`));
      assert.equal(inspect(error, { customInspect: false }), `[SidecarError: ${error.message}]`);
      return true;
    });
  }
});

test("other ends of a stream are outlasted, and ABORTED is one of them for a sink", async (t) => {
  const { sidecar, options } = await stage(t);
  void runSink(ignore, options);
  (await sidecar.sink()).fail(status.ABORTED);
  (await sidecar.sink()).fail(status.INTERNAL);
  (await sidecar.sink()).end();
  (await sidecar.openSink()).fail(status.DEADLINE_EXCEEDED);

  await sidecar.openSink();
});

test("the sidecar is not dialed before the time that it asks for", async (t) => {
  const { sidecar, options } = await stage(t);
  void runSink(ignore, options);
  const call = await sidecar.openSink();
  const ended = performance.now();
  call.fail(status.UNAVAILABLE, "shutting down", retryInfo(300));
  await sidecar.openSink();

  assert.ok(performance.now() - ended >= 290);
});

test("a session that does not begin with `opened` is broken, and unknown frames are ignored", async (t) => {
  const { sidecar, options } = await stage(t);
  void runSink(ignore, options);
  (await sidecar.sink()).send({ batch: { records: [offer(1)] } });
  const call = await sidecar.openSink();
  call.send({});
  call.send({ batch: { records: [offer(1)] } });

  assert.equal((await answers(call, 1)).get(1), "written");
});
