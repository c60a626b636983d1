import assert from "node:assert/strict";
import { test } from "node:test";
import { isSignedBy } from "./signature.js";

// The example in GitHub's documentation.
const secret = "It's a Secret to Everybody";
const body = Buffer.from("Hello, World!");
const digits = "757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";

test("a signature is the body's HMAC-SHA256, alone or behind `sha256=`", () => {
  for (const signature of [digits, `sha256=${digits}`, `sha256=${digits.toUpperCase()}`]) {
    assert.ok(isSignedBy(secret, body, signature), signature);
  }
});

test("anything else is none", () => {
  const malformed = [undefined, "", "sha256=", digits.slice(2), `${digits}00`, `sha1=${digits}`, "g".repeat(64)];
  for (const signature of [...malformed, `0${digits.slice(1)}`]) assert.ok(!isSignedBy(secret, body, signature), signature);
  assert.ok(!isSignedBy("another", body, digits));
  assert.ok(!isSignedBy(secret, Buffer.from("Hello, World?"), digits));
});
