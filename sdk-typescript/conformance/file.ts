// The file that the conformance kit reads.

import { appendFileSync, existsSync } from "node:fs";
import type { Settings } from "@danube-messaging/connector";

const file = process.env["CONFORMANCE_FILE"] ?? "conformance.log";

/** Appends a line with one write. */
export function append(line: string): void {
  appendFileSync(file, `${line}\n`);
}

/** Throws while the kit wants the connector to be unwell. */
export function health(): void {
  if (existsSync(`${file}.sick`)) throw new Error("told to be");
}

/** What the operator's file says to the conformance connector. */
export function conformance(settings: Settings): Record<string, unknown> {
  const own = settings["conformance"];
  return typeof own === "object" && own !== null ? { ...own } : {};
}

/** The connector's name, unless the environment gives one. */
export const connector = process.env["CONNECTOR_NAME"] ?? "conformance";

export const topic = "/default/conformance";
