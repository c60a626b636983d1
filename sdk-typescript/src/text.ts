// Texts for the operator.

import { ConnectorError } from "./errors.js";

/** Longest text that is sent, in bytes: what a dead letter keeps of it. */
const LONGEST = 1024;

/** The text, cut between two characters where it is too long. */
export function shortened(text: string): string {
  const bytes = Buffer.from(text);
  if (bytes.length <= LONGEST) return text;
  let end = LONGEST;
  while (((bytes[end] ?? 0) & 0xc0) === 0x80) end -= 1;
  return bytes.toString("utf8", 0, end);
}

/** What was thrown, as an error: JavaScript can throw anything. */
export function asError(thrown: unknown): Error {
  return thrown instanceof Error ? thrown : new Error(String(thrown));
}

/** The code of an error for the sidecar: its own, or that of an ordinary exception. */
export function codeOf(error: Error): string {
  return error instanceof ConnectorError ? error.code : "EXCEPTION";
}
