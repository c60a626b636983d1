import assert from "node:assert/strict";
import { test } from "node:test";
import { pointerOf, valueAt } from "./pointer.js";
import { BadRequest, recordOf } from "./record.js";
import type { Route } from "./settings.js";

const plain: Route = { topic: "/default/t", key: undefined, headers: [], signed: undefined };

test("a pointer leads to a value, as RFC 6901 says", () => {
  const document = { foo: ["bar", "baz"], "": 0, "a/b": 1, "m~n": 8, nothing: null };
  const leads = (text: string): unknown => valueAt(document, pointerOf(text));
  assert.equal(leads(""), document);
  assert.equal(leads("/foo/1"), "baz");
  assert.equal(leads("/"), 0);
  assert.equal(leads("/a~1b"), 1);
  assert.equal(leads("/m~0n"), 8);
  for (const nowhere of ["/foo/2", "/foo/-", "/nothing/x", "/toString"]) assert.equal(leads(nowhere), undefined, nowhere);
  for (const none of ["foo", "/a~2", "/a~"]) assert.throws(() => pointerOf(none), /no JSON pointer/, none);
});

test("the key stands in the body, or in a header", () => {
  const inBody: Route = { ...plain, key: { pointer: ["customer", "id"] } };
  const keyOf = (id: unknown): string | undefined =>
    recordOf(inBody, {}, Buffer.from(JSON.stringify({ customer: { id } }))).key;
  assert.equal(keyOf("c-7"), "c-7");
  assert.equal(keyOf(7), "7");
  assert.equal(recordOf({ ...plain, key: { header: "x-key" } }, { "x-key": "k" }, Buffer.from("no JSON")).key, "k");
  assert.equal(recordOf(plain, { "x-key": "k" }, Buffer.from("no JSON")).key, undefined);
});

test("a record that is to have a key and has none is the sender's mistake", () => {
  const inBody: Route = { ...plain, key: { pointer: ["id"] } };
  for (const body of ["no JSON", "{}", '{"id":null}', '{"id":{}}', "7"]) {
    assert.throws(() => recordOf(inBody, {}, Buffer.from(body)), BadRequest, body);
  }
  assert.throws(() => recordOf({ ...plain, key: { header: "x-key" } }, {}, Buffer.from("")), BadRequest);
});

test("only the headers that are named become attributes, and the body stays as it is", () => {
  const route: Route = { ...plain, headers: ["x-event", "x-absent"] };
  const body = Buffer.from([0, 255, 10]);
  const record = recordOf(route, { "x-event": "push", cookie: "secret" }, body);
  assert.deepEqual(record, { topic: "/default/t", payload: body, key: undefined, attributes: { "x-event": "push" } });
});
