import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { connect } from "node:net";
import { text } from "node:stream/consumers";
import { test, type TestContext } from "node:test";
import { RecordRejected, SourceStopped, type Emitted, type SourceRecord } from "@danube-messaging/connector";
import { WebhookServer } from "./server.js";
import { settingsOf } from "./settings.js";

/** Stands for the SDK's emitter. */
class FakeEmitter {
  connected = true;
  room = 10;
  readonly taken: SourceRecord[] = [];
  /** What becomes of the records. */
  committed: Promise<void> = Promise.resolve();
  /** Resolves when the first record is taken. */
  readonly takes: Promise<void>;
  private take: () => void = () => undefined;

  constructor() {
    this.takes = new Promise((resolve) => (this.take = resolve));
  }

  readonly tryEmit = (record: SourceRecord): Emitted | undefined => {
    if (!this.connected || this.room === 0) return undefined;
    this.room -= 1;
    this.taken.push(record);
    this.take();
    return { committed: this.committed };
  };
}

const ROUTES = {
  "/hooks/open": { topic: "/default/open", headers: ["x-event"] },
  "/hooks/keyed": { topic: "/default/keyed", key_pointer: "/id" },
  "/hooks/signed": { topic: "/default/signed", secret_env: "SECRET" },
};

/** A server that listens, what it emits to, and a way to POST to it. */
async function serve(t: TestContext, settings: object = {}) {
  const emitter = new FakeEmitter();
  const server = new WebhookServer(settingsOf({ port: 0, routes: ROUTES, ...settings }, { SECRET: "s" }), emitter);
  const url = await server.listen();
  t.after(() => server.end());
  const post = (path: string, body = "body", headers: Record<string, string> = {}): Promise<Response> =>
    fetch(url + path, { method: "POST", body, headers });
  return { emitter, server, url, post };
}

/** A promise, and how to resolve it. */
function gate(): { opened: Promise<void>; open: () => void } {
  let open = (): void => undefined;
  const opened = new Promise<void>((resolve) => (open = resolve));
  return { opened, open };
}

const LIMIT = { timeout: 10_000 };

test("a POST is answered 202 when its record is committed, and not before", LIMIT, async (t) => {
  const { emitter, post } = await serve(t);
  const { opened, open } = gate();
  let isCommitted = false;
  emitter.committed = opened.then(() => void (isCommitted = true));
  const posted = post("/hooks/open?from=here", "hello", { "x-event": "push", "idempotency-key": "i-1", "x-other": "o" });
  const answered = posted.then((response) => [response.status, isCommitted]);
  await emitter.takes;
  open();

  assert.deepEqual(await answered, [202, true]);
  const attributes = { "x-event": "push", "idempotency-key": "i-1" };
  assert.deepEqual(emitter.taken, [{ topic: "/default/open", payload: Buffer.from("hello"), key: undefined, attributes }]);
});

test("without room a POST is answered 429, and when to come again", async (t) => {
  const { emitter, post } = await serve(t, { retry_after_s: 7 });
  emitter.room = 0;
  const response = await post("/hooks/open");
  assert.deepEqual([response.status, response.headers.get("retry-after")], [429, "7"]);
});

test("without a sidecar it is 503, and so is the health", async (t) => {
  const { emitter, post, url } = await serve(t);
  assert.equal((await fetch(`${url}/healthz`)).status, 200);
  emitter.connected = false;
  const response = await post("/hooks/open");
  assert.deepEqual([response.status, response.headers.get("retry-after")], [503, "1"]);
  assert.equal((await fetch(`${url}/healthz`)).status, 503);
});

test("a record that is not committed in time is 504, and one that never will be says why", async (t) => {
  const { emitter, post } = await serve(t, { commit_timeout_ms: 20 });
  emitter.committed = new Promise(() => undefined);
  assert.equal((await post("/hooks/open")).status, 504);
  const fates: [Error, number][] = [
    [new SourceStopped(), 503],
    [new RecordRejected("TOO_LARGE", "too large"), 413],
    [new RecordRejected("SCHEMA_MISMATCH", "no match"), 422],
    [new RecordRejected("UNDECLARED_TOPIC", "no topic"), 500],
  ];
  for (const [fate, status] of fates) {
    emitter.committed = Promise.reject(fate);
    emitter.committed.catch(() => undefined); // As the SDK does: nobody need wait for it.
    assert.equal((await post("/hooks/open")).status, status, fate.message);
  }
});

test("what is asked wrong is not emitted", async (t) => {
  const { emitter, post, url } = await serve(t, { max_body_bytes: 10 });
  assert.equal((await post("/hooks/none")).status, 404);
  assert.equal((await post("/hooks")).status, 404);
  const wrong = await fetch(`${url}/hooks/open`);
  assert.deepEqual([wrong.status, wrong.headers.get("allow")], [405, "POST"]);
  assert.equal((await post("/hooks/open", "x".repeat(11))).status, 413);
  assert.equal((await post("/hooks/open", "x".repeat(1 << 20))).status, 413);
  assert.equal((await post("/hooks/keyed", "{}")).status, 400);
  assert.deepEqual(emitter.taken, []);
  assert.equal((await post("/hooks/open", "x".repeat(10))).status, 202);
  assert.equal((await post("/hooks/keyed", '{"id":1}')).status, 202);
});

test("where there is a secret, only what is signed with it is emitted", async (t) => {
  const { emitter, post } = await serve(t);
  const signature = createHmac("sha256", "s").update("body").digest("hex");
  assert.equal((await post("/hooks/signed")).status, 401);
  assert.equal((await post("/hooks/signed", "b0dy", { "x-hub-signature-256": signature })).status, 401);
  assert.deepEqual(emitter.taken, []);
  assert.equal((await post("/hooks/signed", "body", { "x-hub-signature-256": `sha256=${signature}` })).status, 202);
});

test("after the close what it has is answered, and the connection ends", LIMIT, async (t) => {
  const { emitter, server, post } = await serve(t);
  const { opened, open } = gate();
  emitter.committed = opened;
  const posted = post("/hooks/open");
  await emitter.takes;
  server.close();
  await assert.rejects(post("/hooks/open"), "nothing listens");
  open();

  const response = await posted;
  assert.deepEqual([response.status, response.headers.get("connection")], [202, "close"]);
  await server.end();
});

test("a client that does not send its request in time is cut off", LIMIT, async (t) => {
  const { url, emitter } = await serve(t, { request_timeout_ms: 100 });
  const socket = connect(Number(new URL(url).port), "127.0.0.1");
  socket.write("POST /hooks/open HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\nhalf");
  assert.match(await text(socket), /^HTTP\/1.1 408 /);
  assert.deepEqual(emitter.taken, []);
});

test("a connection that is idle for too long is closed", LIMIT, async (t) => {
  const { url } = await serve(t, { keep_alive_timeout_ms: 100 });
  const socket = connect(Number(new URL(url).port), "127.0.0.1");
  socket.write("GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n");
  assert.match(await text(socket), /^HTTP\/1.1 200 .*ok\n/s);
});

test("an address that cannot be had is an error", async (t) => {
  const { url } = await serve(t);
  const settings = settingsOf({ port: Number(new URL(url).port), routes: ROUTES }, { SECRET: "s" });
  await assert.rejects(new WebhookServer(settings, new FakeEmitter()).listen(), /EADDRINUSE/);
});
