// Waiting for time to pass.

import { setImmediate } from "node:timers/promises";
import type { Duration } from "./gen/google/protobuf/duration.js";

/** Waits so many milliseconds, or until the signal comes. */
export function pause(ms: number, signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  return new Promise((resolve) => {
    const done = (): void => {
      clearTimeout(timer);
      signal.removeEventListener("abort", done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    signal.addEventListener("abort", done);
  });
}

/** Lets the event loop move frames: a connector that never waits must not keep streams from moving. */
export async function breathe(): Promise<void> {
  await setImmediate();
}

/** Milliseconds, for the wire. */
export function duration(ms: number): Duration {
  const nanos = Math.round((ms % 1000) * 1e6);
  return { seconds: BigInt(Math.floor(ms / 1000)), nanos: Math.min(nanos, 999_999_999) };
}

/** Milliseconds, from the wire. */
export function milliseconds({ seconds, nanos }: Duration): number {
  return Number(seconds) * 1000 + nanos / 1e6;
}
