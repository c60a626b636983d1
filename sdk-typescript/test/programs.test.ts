// The examples and the conformance connectors, as the programs that they are.

import assert from "node:assert/strict";
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { test, type TestContext } from "node:test";
import { status } from "@grpc/grpc-js";
import { answers, folder, offer, received, stage, type Stage } from "./support/sidecar.js";
import { details } from "./support/status.js";
import { Journal } from "./support/wait.js";

/** Starts one of this package's programs. */
function start(t: TestContext, { options }: Stage, program: string, env: Record<string, string> = {}) {
  const child = spawn(process.execPath, [`dist/${program}.js`], {
    env: { ...process.env, DANUBE_SIDECAR_ADDRESS: options.address, ...env },
    stdio: ["ignore", "pipe", "pipe"],
  });
  t.after(() => child.kill("SIGKILL"));
  const journal = new Journal();
  createInterface({ input: child.stdout }).on("line", journal.write);
  return { child, journal, complaint: text(child.stderr) };
}

async function exit(child: ChildProcess): Promise<unknown[]> {
  return child.exitCode === null && child.signalCode === null
    ? await once(child, "exit")
    : [child.exitCode, child.signalCode];
}

const MANY = { demand: { records: 10_000n, bytes: 1n << 40n } };

test("the smallest sink prints a record, and ends well at SIGTERM", async (t) => {
  const set = await stage(t);
  const { child, journal } = start(t, set, "examples/hello-sink");
  const call = await set.sidecar.openSink();
  call.send({ batch: { records: [offer(1, "hello", { key: "k" })] } });
  await answers(call, 1);
  await journal.has(`${"1".padStart(32, "0")} k hello`);
  child.kill("SIGTERM");
  assert.ok((await call.next()).drained);
  call.end();

  assert.deepEqual(await exit(child), [0, null]);
});

test("a second signal ends the process at once", async (t) => {
  const set = await stage(t);
  const { child } = start(t, set, "examples/hello-sink");
  const call = await set.sidecar.openSink();
  call.send({ probe: { probeId: 1n } });
  assert.ok((await call.next()).health, "it has read `opened`");
  child.kill("SIGINT");
  assert.ok((await call.next()).drained);
  child.kill("SIGTERM");

  assert.deepEqual(await exit(child), [null, "SIGTERM"]);
});

test("a program that is refused says why in one line, and nothing of gRPC", async (t) => {
  const set = await stage(t);
  const { child, complaint } = start(t, set, "examples/hello-sink");
  (await set.sidecar.sink()).fail(status.PERMISSION_DENIED, "topic /default/hello", details("TOPIC_NOT_ALLOWED"));

  assert.deepEqual(await exit(child), [1, null]);
  const refusal = "the sidecar refuses this connector (PERMISSION_DENIED, TOPIC_NOT_ALLOWED): topic /default/hello";
  const lines = (await complaint).split("\n");
  // Node itself shows the line of code that threw, and its version.
  assert.ok(lines.includes(`[SidecarError: ${refusal}]`), lines.join("\n"));
  assert.ok(lines.length <= 9 && !/metadata|cause|Buffer| at /i.test(lines.join("\n")), lines.join("\n"));
});

test("the smallest source goes on where it was, and ends", async (t) => {
  const set = await stage(t);
  const { child } = start(t, set, "examples/hello-source");
  const call = await set.sidecar.openSource([98n]);
  call.send(MANY);
  assert.deepEqual(await received(call), [[1, "number 99"]]);
  assert.deepEqual(await received(call), [[2, "number 100"]]);
  assert.ok((await call.next()).drained);
  call.send({ committed: { number: 2n } });
  await call.halfClosed();
  call.end();

  assert.deepEqual(await exit(child), [0, null]);
});

test("the spool source removes the files that are safe, also those of its last life", async (t) => {
  const set = await stage(t, folder(t));
  const spool = folder(t);
  for (const n of [1, 2, 3, 4]) writeFileSync(join(spool, `00000${n}.json`), `file ${n}`);
  const { child } = start(t, set, "examples/spool-source", { SPOOL: spool });
  const call = await set.sidecar.source();
  call.send({ opened: { sessionId: "s", positions: [{ sourcePartition: "spool", offset: 2n, metadata: "000002.json" }] } });
  call.send(MANY);
  assert.deepEqual(await received(call), [
    [1, "file 3"],
    [2, "file 4"],
  ]);
  assert.deepEqual(readdirSync(spool), ["000003.json", "000004.json"]);
  call.send({ committed: { number: 1n } });
  child.kill("SIGTERM");
  assert.ok((await call.next()).drained);
  call.send({ committed: { number: 1n } });
  call.end();

  assert.deepEqual(await exit(child), [0, null]);
  assert.deepEqual(readdirSync(spool), ["000004.json"]);
});

test("the orders sink sorts its records", async (t) => {
  const set = await stage(t);
  start(t, set, "examples/orders-sink");
  const call = await set.sidecar.openSink({ capacity: 1 });
  const payloads = ['{"id":"a"}', "no json", "{}", '{"id":"b","test":true}', '{"id":"c"}'];
  call.send({ batch: { records: payloads.map((payload, index) => offer(index + 1, payload)) } });

  assert.deepEqual(Object.fromEntries(await answers(call, 5)), {
    1: "written",
    2: "REJECT NOT_JSON",
    3: "REJECT NO_ID",
    4: "FILTERED FILTERED",
    5: "RETRY FULL",
  });
  call.send({ probe: { probeId: 1n } });
  assert.equal((await call.next()).health?.message, "the table is full");
});

test("the webhook source answers when its record is committed, and 429 where there is no room", async (t) => {
  const set = await stage(t);
  const { journal } = start(t, set, "examples/webhook-source", { PORT: "0" });
  const call = await set.sidecar.openSource();
  const url = `http://127.0.0.1:${await journal.begins("listening on ")}`;
  const post = async (): Promise<number> => (await fetch(url, { method: "POST", body: "event" })).status;
  assert.equal(await post(), 429);
  call.send({ demand: { records: 1n, bytes: 1n << 40n } });
  call.send({ probe: { probeId: 1n } });
  assert.ok((await call.next()).health, "the demand is known");
  const answered = post();
  assert.deepEqual(await received(call), [[1, "event"]]);
  call.send({ committed: { number: 1n } });

  assert.equal(await answered, 204);
});

for (const mode of ["batch", "single"]) {
  test(`the conformance sink does what it is told, ${mode}`, async (t) => {
    const set = await stage(t);
    const file = join(folder(t), "file");
    const env = { CONFORMANCE_FILE: file, CONFORMANCE_MODE: mode };
    const { child } = start(t, set, "conformance/sink", env);
    const call = await set.sidecar.openSink({ conformance: { word: "hello" } });
    assert.equal(call.open.connector, "conformance");
    const ref = { schemaId: 1n, version: 1 };
    call.send({ schema: { ref, subject: "subject", type: "string" } });
    const told = ["write", "reject", "retry", "retry-after 20", "filter", "slow 1", "retry"];
    const records = told.map((payload, index) => offer(index + 1, payload, { attempt: index === 6 ? 2 : 1 }));
    call.send({ batch: { records: [...records, offer(8, "x", { schema: ref })] } });
    assert.deepEqual(Object.fromEntries(await answers(call, 8)), {
      1: "written",
      2: "REJECT TOLD_TO",
      3: "RETRY TOLD_TO",
      4: "RETRY TOLD_TO",
      5: "FILTERED TOLD_TO",
      6: "written",
      7: "written",
      8: "written",
    });
    call.send({ batch: { records: [offer(9, "error"), offer(10, "x")] } });
    const thrown = await answers(call, 2);
    assert.deepEqual([thrown.get(9), thrown.get(10)], ["RETRY EXCEPTION", mode === "batch" ? "RETRY EXCEPTION" : "written"]);
    writeFileSync(`${file}.sick`, "");
    call.send({ probe: { probeId: 1n } });
    assert.deepEqual((await call.next()).health, { probeId: 1n, status: 2, message: "told to be", checked: true });
    call.send({ batch: { records: [offer(11, "fatal")] } });
    assert.equal((await call.next()).fault?.code, "TOLD_TO");
    call.end();

    assert.notDeepEqual(await exit(child), [0, null]);
    const id = (n: number): string => String(n).padStart(32, "0");
    const written = [`${id(1)} 1 -`, `${id(6)} 1 -`, `${id(7)} 2 -`, `${id(8)} 1 subject`];
    if (mode === "single") written.push(`${id(10)} 1 -`);
    const lines = ["opened hello", ...written.map((line) => `written ${line}`), "closed", ""];
    assert.deepEqual(readFileSync(file, "utf8").split("\n"), lines);
  });
}

for (const mode of ["poll", "push"]) {
  test(`the conformance source counts, ${mode}`, async (t) => {
    const set = await stage(t, folder(t));
    const file = join(folder(t), "file");
    const env = { CONFORMANCE_FILE: file, CONFORMANCE_MODE: mode, CONFORMANCE_END: "1" };
    const { child } = start(t, set, "conformance/source", env);
    const call = await set.sidecar.source();
    const settingsJson = JSON.stringify({ conformance: { records: 25, size: 12 } });
    const positions = [{ sourcePartition: "numbers", offset: 5n, metadata: "m5" }];
    call.send({ opened: { sessionId: "s", settingsJson, positions } });
    call.send(MANY);
    const texts: string[] = [];
    while (texts.length < 20) texts.push(...(await received(call)).map(([, text]) => text));
    assert.equal(texts[0], "record 6xxxx");
    assert.equal(texts[19], "record 25xxx");
    assert.ok((await call.next()).drained);
    call.send({ rejected: { number: 20n, code: "TOO_LARGE", message: "too large" } });
    call.send({ committed: { number: 20n } });
    await call.halfClosed();
    call.end();

    assert.deepEqual(await exit(child), [0, null]);
    const lines = readFileSync(file, "utf8").split("\n");
    const committed = Array.from({ length: 20 }, (_, index) => `committed ${index + 6}`);
    assert.deepEqual(lines, ["restored 5", "rejected 25 TOO_LARGE", ...committed, "closed", ""]);
  });
}

test("README shows the examples as they are", () => {
  const readme = readFileSync("README.md", "utf8");
  const blocks = [...readme.matchAll(/<!-- file: (\S+) -->\n```ts\n(.*?)```\n/gs)];
  assert.equal(blocks.length, (readme.match(/```ts/g) ?? []).length, "all code is taken from files");
  for (const [, path, code] of blocks) assert.equal(code, readFileSync(path as string, "utf8"), path);
});
