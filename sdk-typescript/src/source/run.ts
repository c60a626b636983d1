// Running a source.

import { SourceStopped } from "../errors.js";
import { Runtime } from "../runtime.js";
import { openFrame } from "./convert.js";
import type { Feed } from "./feed.js";
import { Notices } from "./notices.js";
import { Outbox } from "./outbox.js";
import { Poller } from "./poller.js";
import { Pusher } from "./pusher.js";
import { SourceSession, type SourceParts } from "./session.js";
import type { Position, Source, SourceOptions } from "./source.js";

/**
 * Runs a source: takes its records as long as the sidecar has demand, hands them over, and tells the source
 * what is safe. The sidecar may come and go: the run waits for it, for as long as it takes, and sends again
 * what was not committed.
 *
 * Ends after SIGTERM, SIGINT or `options.signal`, or when the source has ended and everything is committed.
 * Fails when `open`, `restore`, `stream` or `close` fail, when a hook throws a {@link Fatal}, when a polled
 * record is too large ({@link RecordTooLarge}), when the sidecar refuses the source or another process of it
 * has taken over ({@link SidecarError}), and at once when an option makes no sense.
 */
export async function runSource(source: Source, options: SourceOptions = {}): Promise<void> {
  const open = openFrame(options);
  const runtime = new Runtime(source, options, "source");
  const outbox = new Outbox();
  const notices = new Notices(source, runtime);
  const tools = { outbox, notices, runtime };
  const feed: Feed = "poll" in source ? new Poller(source, tools, options.pollInterval) : new Pusher(source, tools);
  let started = false;
  const parts: SourceParts = {
    ...tools,
    feed,
    begin: (settingsJson: string, positions: Position[]): void => {
      void runtime.begin(settingsJson, async () => {
        await source.restore?.(positions);
        if (runtime.stop.requested) return;
        started = true;
        void feed.run();
      });
    },
  };
  try {
    await runtime.run(
      () => SourceSession.run(open, parts),
      () => (started && !feed.done) || !notices.told,
    );
  } finally {
    const uncommitted = outbox.clear();
    for (const { settle } of uncommitted) settle?.(new SourceStopped());
    if (uncommitted.length > 0) runtime.log.warn(`stopped with ${uncommitted.length} records that are not committed`);
  }
}
