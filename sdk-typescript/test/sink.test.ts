import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { Outcome as WireOutcome } from "../src/gen/danube/connector/v1/sink.js";
import { Busy, Fatal, Filtered, Reject, Retry, runSink, type Outcome, type SinkRecord } from "../src/index.js";
import { answers, offer, stage } from "./support/sidecar.js";
import { Gate, Journal } from "./support/wait.js";

const allWritten = (records: SinkRecord[]): Outcome[] => records.map(() => "written");

/** Does what the payload says. */
function obey(record: SinkRecord): Outcome {
  switch (record.text()) {
    case "retry":
      return new Retry("locked", { code: "LOCKED", after: 1500 });
    case "busy":
      return new Busy("429 Too Many Requests", { code: "LIMIT", after: 600 });
    case "reject":
      return new Reject("bad", { code: "BAD" });
    case "filter":
      return new Filtered("not wanted", { code: "UNWANTED" });
    case "throw":
      return new Error("it broke");
    default:
      return "written";
  }
}

const obeySingly = {
  process(record: SinkRecord) {
    const outcome = obey(record);
    if (outcome !== "written") throw outcome;
  },
};

for (const [how, sink] of [
  ["one at a time", obeySingly],
  ["in a batch", { processBatch: (records: SinkRecord[]) => records.map(obey) }],
] as const) {
  test(`records written ${how} have an outcome each`, async (t) => {
    const { sidecar, options, stop } = await stage(t);
    const run = runSink(sink, options);
    const call = await sidecar.openSink();
    const payloads = ["a", "reject", "b", "filter", "throw", "retry"];
    call.send({ batch: { records: payloads.map((payload, index) => offer(index + 1, payload)) } });

    assert.deepEqual(
      [...(await answers(call, 6))].sort(([a], [b]) => a - b).map(([, what]) => what),
      ["written", "REJECT BAD", "written", "FILTERED UNWANTED", "RETRY EXCEPTION", "RETRY LOCKED"],
    );
    stop();
    assert.ok((await call.next()).drained);
    call.end();
    await run;
  });
}

test("written records share a range only where their ids follow each other", async (t) => {
  const { sidecar, options } = await stage(t);
  void runSink({ processBatch: (records) => records.map(obey) }, options);
  const call = await sidecar.openSink();
  const batch = [offer(1), offer(2), offer(3, "retry"), offer(4), offer(7), offer(8)];
  call.send({ batch: { records: batch } });

  const { results } = await call.next();
  assert.deepEqual(
    results?.acked.map(({ first, last }) => [first, last]),
    [
      [1n, 2n],
      [4n, 4n],
      [7n, 8n],
    ],
  );
  const [failure] = results?.failures ?? [];
  assert.deepEqual(failure?.retryAfter, { seconds: 1n, nanos: 500_000_000 });
  assert.equal(failure?.message, "locked");
});

test("what a batch function throws is the outcome of every record", async (t) => {
  const { sidecar, options } = await stage(t);
  const processBatch = (): Outcome[] => {
    throw new Error("x".repeat(5000));
  };
  void runSink({ processBatch }, options);
  const call = await sidecar.openSink();
  call.send({ batch: { records: [offer(1), offer(2)] } });

  const { results } = await call.next();
  assert.deepEqual(
    results?.failures.map(({ code, message }) => [code, message.length]),
    [
      ["EXCEPTION", 1024],
      ["EXCEPTION", 1024],
    ],
  );
});

test("more than a thousand failures are spread over frames", async (t) => {
  const { sidecar, options } = await stage(t);
  void runSink({ processBatch: (records) => records.map(() => new Retry("busy")) }, options);
  const call = await sidecar.openSink();
  call.send({ batch: { records: Array.from({ length: 1500 }, (_, id) => offer(id)) } });

  assert.equal((await call.next()).results?.failures.length, 1000);
  assert.equal((await call.next()).results?.failures.length, 500);
});

for (const [how, single] of [
  ["one at a time", true],
  ["in batches", false],
] as const) {
  test(`what follows a retried record of its key is held, ${how}, until that one comes again`, async (t) => {
    const { sidecar, options } = await stage(t);
    const seen = new Journal();
    const note = (record: SinkRecord): Outcome => {
      seen.write(record.dedupId.slice(-1) + record.attempt);
      return obey(record);
    };
    const processBatch = (records: SinkRecord[]): Outcome[] => records.map(note);
    void runSink(single ? { process: (record) => void throwing(note(record)) } : { processBatch }, options);
    const call = await sidecar.openSink();
    call.send({ batch: { records: [offer(1, "retry", { key: "a" })] } });
    call.send({ batch: { records: [offer(2, "", { key: "a" }), offer(3, "", { key: "b" }), offer(4)] } });
    const elsewhere = { key: "a", topic: "/default/other" };
    call.send({ batch: { records: [offer(5, "", { key: "a" }), offer(6, "", elsewhere)] } });

    assert.deepEqual(Object.fromEntries(await answers(call, 6)), {
      1: "RETRY LOCKED",
      2: "RETRY HELD",
      3: "written",
      4: "written",
      5: "RETRY HELD",
      6: "written",
    });
    call.send({ batch: { records: [offer(7, "", { key: "a", attempt: 2 }), offer(8, "", { key: "a" })] } });
    assert.deepEqual([...(await answers(call, 2)).values()], ["written", "written"]);
    assert.deepEqual(seen.lines, ["11", "31", "41", "61", "72", "81"]);
  });
}

for (const [how, single] of [
  ["one at a time", true],
  ["in batches", false],
] as const) {
  test(`behind a busy record all in hand is handed back, ${how}, without a call until the pause is over`, async (t) => {
    const { sidecar, options } = await stage(t);
    const seen = new Journal();
    const note = (record: SinkRecord): Outcome => {
      seen.write(record.text());
      return obey(record);
    };
    const processBatch = (records: SinkRecord[]): Outcome[] => records.map(note);
    void runSink(single ? { process: (record) => void throwing(note(record)) } : { processBatch }, options);
    const call = await sidecar.openSink();
    call.send({ batch: { records: [offer(1, "busy", { key: "k" })] } });
    call.send({ batch: { records: [offer(2, "b"), offer(3, "c", { key: "k" })] } });
    const failures = [];
    while (failures.length < 3) failures.push(...((await call.next()).results?.failures ?? []));

    assert.deepEqual(failures[0]?.retryAfter, { seconds: 0n, nanos: 600_000_000 });
    for (const failure of failures) {
      assert.deepEqual([failure.outcome, failure.code], [WireOutcome.OUTCOME_BUSY, "LIMIT"]);
      assert.ok(failure.retryAfter !== undefined && failure.retryAfter.nanos > 0);
    }
    assert.deepEqual(seen.lines, ["busy"]);

    await sleep(600);
    // What was sent before the sidecar heard of it must not overtake what comes again.
    call.send({ batch: { records: [offer(4, "d", { key: "k" }), offer(5, "e")] } });
    assert.deepEqual(Object.fromEntries(await answers(call, 2)), { 4: "RETRY HELD", 5: "written" });
    const again = [offer(6, "a", { key: "k", attempt: 2 }), offer(7, "c", { key: "k", attempt: 2 })];
    call.send({ batch: { records: again } });
    assert.deepEqual([...(await answers(call, 2)).values()], ["written", "written"]);
  });
}

test("a pause outlives the session", async (t) => {
  const { sidecar, options } = await stage(t);
  let calls = 0;
  const process = (): void => {
    calls += 1;
    throw new Busy("in maintenance", { after: 3_600_000 });
  };
  void runSink({ process }, options);
  for (let session = 1; session <= 2; session += 1) {
    const call = await sidecar.openSink();
    call.send({ batch: { records: [offer(1)] } });
    assert.deepEqual([...(await answers(call, 1)).values()], ["BUSY BUSY"]);
    call.end();
  }
  assert.equal(calls, 1);
});

function throwing(outcome: Outcome): void {
  if (outcome !== "written") throw outcome;
}

test("a slow record does not hold the answers of those before it", async (t) => {
  const { sidecar, options } = await stage(t);
  const gate = new Gate();
  void runSink({ process: (record) => (record.text() === "slow" ? gate.opened : undefined) }, options);
  const call = await sidecar.openSink();
  call.send({ batch: { records: [offer(1), offer(2), offer(3, "slow")] } });

  assert.deepEqual([...(await answers(call, 2)).keys()], [1, 2]);
  gate.open();
  assert.deepEqual([...(await answers(call, 1)).keys()], [3]);
});

test("a sink that never waits does not keep frames from moving", async (t) => {
  const { sidecar, options } = await stage(t);
  const process = (): void => {
    const until = performance.now() + 60;
    while (performance.now() < until);
  };
  void runSink({ process }, options);
  const call = await sidecar.openSink();
  call.send({ batch: { records: [offer(1), offer(2), offer(3), offer(4)] } });
  call.send({ probe: { probeId: 1n } });
  let answered = 0;
  for (let frame = await call.next(); frame.health === undefined; frame = await call.next()) {
    answered += frame.results?.acked.length ?? 0;
  }

  assert.ok(answered < 4);
});

test("batches are handed over one at a time, in order", async (t) => {
  const { sidecar, options } = await stage(t);
  const journal = new Journal();
  let running = 0;
  const processBatch = async (records: SinkRecord[]): Promise<Outcome[]> => {
    running += 1;
    await new Promise(setImmediate);
    journal.write(`${records.length} of ${running}`);
    running -= 1;
    return allWritten(records);
  };
  void runSink({ processBatch }, options);
  const call = await sidecar.openSink();
  call.send({ batch: { records: [offer(1)] } });
  call.send({ batch: { records: [offer(2), offer(3)] } });
  call.send({ batch: { records: [offer(4), offer(5), offer(6)] } });

  await answers(call, 6);
  assert.deepEqual(journal.lines, ["1 of 1", "2 of 1", "3 of 1"]);
});

test("a record offers all that is known of it", async (t) => {
  const { sidecar, options } = await stage(t);
  const got = new Gate<SinkRecord>();
  void runSink({ process: (record) => got.open(record) }, options);
  const call = await sidecar.openSink();
  const ref = { schemaId: 3n, version: 2 };
  call.send({ schema: { ref, subject: "orders", type: "avro", definition: Buffer.from("{}") } });
  const more = { key: "k", attributes: { a: "b" }, publishTimeMs: 1_700_000_000_000n, producerName: "p", schema: ref };
  call.send({ batch: { epoch: 7n, records: [offer(1, '{"n":1}', { ...more, offset: 2n ** 63n })] } });

  const record = await got.opened;
  assert.deepEqual(record.json(), { n: 1 });
  assert.equal(record.offset, 2n ** 63n);
  assert.equal(record.epoch, 7n);
  assert.deepEqual([record.key, record.producer, record.subscription], ["k", "p", "test"]);
  assert.deepEqual({ ...record.attributes }, { a: "b" });
  assert.equal(record.publishTime.toISOString(), "2023-11-14T22:13:20.000Z");
  assert.deepEqual([record.schema?.subject, record.schema?.id, record.schema?.version], ["orders", 3n, 2]);
});

test("a fatal error is told to the sidecar, after the answers before it, and fails the run", async (t) => {
  const { sidecar, options } = await stage(t);
  const journal = new Journal();
  const process = (record: SinkRecord): void => {
    if (record.text() === "fatal") throw new Fatal("the disk is gone", { code: "DISK" });
  };
  const run = runSink({ process, close: () => journal.write("closed") }, options);
  const call = await sidecar.openSink();
  call.send({ batch: { records: [offer(1), offer(2, "fatal"), offer(3)] } });

  assert.deepEqual([...(await answers(call, 1)).keys()], [1]);
  assert.deepEqual((await call.next()).fault, { code: "DISK", message: "the disk is gone" });
  await call.halfClosed();
  call.end();
  await assert.rejects(run, { name: "Fatal", code: "DISK" });
  assert.deepEqual(journal.lines, ["closed"]);
});

test("a fatal outcome may leave the rest of its batch unanswered", async (t) => {
  const { sidecar, options } = await stage(t);
  const run = runSink({ processBatch: () => ["written", new Fatal("no", { code: "NO" })] }, options);
  const call = await sidecar.openSink();
  call.send({ batch: { records: [offer(1), offer(2), offer(3)] } });

  assert.deepEqual([...(await answers(call, 1)).keys()], [1]);
  assert.equal((await call.next()).fault?.code, "NO");
  call.end();
  await assert.rejects(run, Fatal);
});

test("a batch function that does not answer for each record is a fault", async (t) => {
  const { sidecar, options } = await stage(t);
  const run = runSink({ processBatch: () => ["written"] }, options);
  const call = await sidecar.openSink();
  call.send({ batch: { records: [offer(1), offer(2)] } });

  assert.equal((await call.next()).fault?.code, "BAD_OUTCOMES");
  call.end();
  await assert.rejects(run, /1 outcomes for 2 records/);
});
