import assert from "node:assert/strict";
import { test } from "node:test";
import { Fatal } from "@danube-messaging/connector";
import { settingsOf } from "./settings.js";

const routes = { "/hooks/a": { topic: "/default/a" } };

test("a route is enough: everything else has a default", () => {
  const { routes: found, ...rest } = settingsOf({ routes }, {});
  assert.deepEqual(rest, {
    host: "127.0.0.1",
    port: 8470,
    maxBodyBytes: 262_144,
    maxConnections: 256,
    commitTimeout: 10_000,
    requestTimeout: 10_000,
    keepAliveTimeout: 5_000,
    retryAfter: 1,
  });
  const route = { topic: "/default/a", key: undefined, headers: ["idempotency-key"], signed: undefined };
  assert.deepEqual([...found], [["/hooks/a", route]]);
});

test("a route has a key, attributes and a secret", () => {
  const route = {
    topic: "/default/a",
    key_pointer: "/customer/id",
    headers: ["X-Event", "Idempotency-Key"],
    secret_env: "SECRET",
    signature_header: "X-Signature",
  };
  const found = settingsOf({ routes: { "/hooks/a": route } }, { SECRET: "s" }).routes.get("/hooks/a");
  assert.deepEqual(found, {
    topic: "/default/a",
    key: { pointer: ["customer", "id"] },
    headers: ["x-event", "idempotency-key"],
    signed: { secret: "s", header: "x-signature" },
  });
});

const a = (more: object): object => ({ routes: { "/hooks/a": { topic: "/default/a", ...more } } });
const mistakes: [object, RegExp][] = [
  [{}, /there are no routes/],
  [{ routes: 7 }, /^routes is 7: expected a table$/],
  [{ routes: { hooks: { topic: "/default/a" } } }, /routes\."hooks": expected a path/],
  [{ routes: { "/healthz": { topic: "/default/a" } } }, /routes\."\/healthz": expected a path/],
  [{ routes: { "/hooks/a": {} } }, /^routes\."\/hooks\/a"\.topic is missing/],
  [{ routes, port: 70_000 }, /^port is 70000: expected a whole number from 0 to 65535$/],
  [{ routes, commit_timeout_ms: "1s" }, /^commit_timeout_ms is "1s": expected a whole number/],
  [{ routes, prot: 80 }, /^there is no setting prot/],
  [a({ key: "/id" }), /^there is no setting routes\."\/hooks\/a"\.key/],
  [a({ key_pointer: "id" }), /"id" is no JSON pointer/],
  [a({ key_pointer: "/id", key_header: "x-key" }), /a record has one key/],
  [a({ headers: ["x key"] }), /headers is "x key": expected the name of a header/],
  [a({ secret_env: "SECRET" }), /secret_env names SECRET, which the environment does not set/],
];

for (const [settings, message] of mistakes) {
  test(`${JSON.stringify(settings)} is refused, and the run with it`, () => {
    assert.throws(() => settingsOf({ ...settings }, {}), (error) => {
      assert.ok(error instanceof Fatal && error.code === "SETTINGS");
      assert.match(error.message, message);
      return true;
    });
  });
}
