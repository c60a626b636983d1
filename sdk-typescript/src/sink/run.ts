// Running a sink.

import { Runtime } from "../runtime.js";
import { openFrame } from "./convert.js";
import { Pause } from "./pause.js";
import { SinkSession } from "./session.js";
import type { Sink, SinkOptions } from "./sink.js";

/**
 * Runs a sink: takes records from the sidecar, hands them to the sink one call at a time, and tells the
 * sidecar what became of each. The sidecar may come and go: the run waits for it, for as long as it takes.
 *
 * Ends after SIGTERM, SIGINT or `options.signal`, when what was in hand is finished. Fails when `open` or
 * `close` fail, when the sink throws a {@link Fatal}, when the sidecar refuses it ({@link SidecarError}), and
 * at once when an option makes no sense.
 */
export async function runSink(sink: Sink, options: SinkOptions = {}): Promise<void> {
  const open = openFrame(options);
  const runtime = new Runtime(sink, options, "sink");
  const pause = new Pause();
  await runtime.run(() => SinkSession.run(sink, open, runtime, pause));
}
