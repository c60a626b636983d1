import assert from "node:assert/strict";
import { test } from "node:test";
import { Fatal } from "@danube-messaging/connector";
import { NumberSource } from "./source.js";

test("it counts, ten at a time, and then has none", () => {
  const source = new NumberSource();
  source.open({ count: 12 });
  assert.equal(source.poll().length, 10);
  assert.deepEqual(source.poll().map(({ payload, key }) => [payload, key]), [
    ["number 11", "key-3"],
    ["number 12", "key-0"],
  ]);
  assert.deepEqual(source.poll(), []);
});

test("it goes on behind the position that is safe", () => {
  const source = new NumberSource();
  source.open({});
  source.restore([{ sourcePartition: "numbers", offset: 41n }]);
  assert.deepEqual(source.poll()[0]?.position, { sourcePartition: "numbers", offset: 42n });
});

test("a count that is none ends the program", () => {
  assert.throws(() => new NumberSource().open({ count: "many" }), Fatal);
});
