// What the operator's file says to the source: `[connectors.webhooks.settings]`.

import { Fatal, type Settings } from "@danube-messaging/connector";
import { pointerOf } from "./pointer.js";
import { Table } from "./table.js";

/** The settings, with their defaults. Times are milliseconds. */
export interface WebhookSettings {
  readonly host: string;
  readonly port: number;
  readonly maxBodyBytes: number;
  readonly maxConnections: number;
  readonly commitTimeout: number;
  readonly requestTimeout: number;
  readonly keepAliveTimeout: number;
  /** What 429 and 503 tell clients to wait, in seconds. */
  readonly retryAfter: number;
  /** By path. */
  readonly routes: ReadonlyMap<string, Route>;
}

/** What becomes of the POSTs to one path. */
export interface Route {
  readonly topic: string;
  /** Where a record's key is; without it records have none. */
  readonly key: { pointer: readonly string[] } | { header: string } | undefined;
  /** The headers that become attributes, in lower case. */
  readonly headers: readonly string[];
  /** What senders have to sign with, and the header of the signature. */
  readonly signed: { secret: string; header: string } | undefined;
}

/** The path that the source answers itself. */
export const HEALTH = "/healthz";

/** Reads the settings. Throws a {@link Fatal} that names the first one that makes no sense. */
export function settingsOf(settings: Settings, environment: NodeJS.ProcessEnv): WebhookSettings {
  try {
    return read(new Table("", settings), environment);
  } catch (thrown) {
    throw new Fatal(thrown instanceof Error ? thrown.message : String(thrown), { code: "SETTINGS" });
  }
}

function read(table: Table, environment: NodeJS.ProcessEnv): WebhookSettings {
  const idempotencyHeader = table.header("idempotency_header", "idempotency-key");
  const routes = new Map<string, Route>();
  for (const [path, route] of table.tables("routes")) {
    if (!/^\/[^?#\s]*$/.test(path) || path === HEALTH) {
      throw new RangeError(`routes."${path}": expected a path such as /hooks/orders, other than ${HEALTH}`);
    }
    routes.set(path, routeOf(route, idempotencyHeader, environment));
  }
  if (routes.size === 0) throw new RangeError("there are no routes: add a table routes.\"/hooks/NAME\" with a topic");
  const found = {
    host: table.text("host") ?? "127.0.0.1",
    port: table.number("port", 8470, 0, 65_535),
    maxBodyBytes: table.number("max_body_bytes", 262_144, 1, 64 << 20),
    maxConnections: table.number("max_connections", 256, 1, 1 << 20),
    commitTimeout: table.number("commit_timeout_ms", 10_000, 1, 3_600_000),
    requestTimeout: table.number("request_timeout_ms", 10_000, 1, 3_600_000),
    keepAliveTimeout: table.number("keep_alive_timeout_ms", 5_000, 1, 3_600_000),
    retryAfter: table.number("retry_after_s", 1, 1, 3_600),
    routes,
  };
  table.finish();
  return found;
}

function routeOf(table: Table, idempotencyHeader: string, environment: NodeJS.ProcessEnv): Route {
  const topic = table.text("topic");
  if (topic === undefined) throw new RangeError(`${table.name}.topic is missing: name a topic of the producers`);
  const pointer = table.text("key_pointer");
  const header = table.header("key_header");
  if (pointer !== undefined && header !== undefined) {
    throw new RangeError(`${table.name} has key_pointer and key_header: a record has one key`);
  }
  const signatureHeader = table.header("signature_header", "x-hub-signature-256");
  const secret = secretOf(table, environment);
  const route: Route = {
    topic,
    key: pointer !== undefined ? { pointer: pointerOf(pointer) } : header !== undefined ? { header } : undefined,
    headers: [...new Set([...table.headers("headers"), idempotencyHeader])],
    signed: secret === undefined ? undefined : { secret, header: signatureHeader },
  };
  table.finish();
  return route;
}

/** A route that is to have a secret must not be open because the environment has none. */
function secretOf(table: Table, environment: NodeJS.ProcessEnv): string | undefined {
  const name = table.text("secret_env");
  if (name === undefined) return undefined;
  const secret = environment[name] ?? "";
  if (secret === "") throw new RangeError(`${table.name}.secret_env names ${name}, which the environment does not set`);
  return secret;
}
