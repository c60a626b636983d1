// What a POST becomes.

import type { IncomingHttpHeaders } from "node:http";
import type { SourceRecord } from "@danube-messaging/connector";
import { valueAt } from "./pointer.js";
import type { Route } from "./settings.js";

/** The request lacks something that the route needs. */
export class BadRequest extends Error {
  override readonly name = "BadRequest";
}

/** The record of a POST. Throws a {@link BadRequest} where it has no key that can be found. */
export function recordOf(route: Route, headers: IncomingHttpHeaders, body: Buffer): SourceRecord {
  return { topic: route.topic, payload: body, key: keyOf(route, headers, body), attributes: attributesOf(route, headers) };
}

function keyOf({ key }: Route, headers: IncomingHttpHeaders, body: Buffer): string | undefined {
  if (key === undefined) return undefined;
  if ("header" in key) {
    const value = headerOf(headers, key.header);
    if (value === undefined || value === "") throw new BadRequest(`the header ${key.header} is missing: it is the key`);
    return value;
  }
  const value = valueAt(jsonOf(body), key.pointer);
  if (typeof value === "string" || typeof value === "number" || typeof value === "boolean") return String(value);
  throw new BadRequest(`the body has no text or number at /${key.pointer.join("/")}: it is the key`);
}

function attributesOf({ headers: names }: Route, headers: IncomingHttpHeaders): Record<string, string> {
  const attributes: Record<string, string> = {};
  for (const name of names) {
    const value = headerOf(headers, name);
    if (value !== undefined) attributes[name] = value;
  }
  return attributes;
}

/** The header's value; a header that came more than once has all of them. */
export function headerOf(headers: IncomingHttpHeaders, name: string): string | undefined {
  const value = headers[name];
  return Array.isArray(value) ? value.join(", ") : value;
}

function jsonOf(body: Buffer): unknown {
  try {
    return JSON.parse(body.toString());
  } catch {
    throw new BadRequest("the body is no JSON: its key is in it");
  }
}
