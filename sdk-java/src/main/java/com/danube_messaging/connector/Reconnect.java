package com.danube_messaging.connector;

import java.lang.System.Logger.Level;
import java.time.Duration;

/** Decides when to dial again, and when to say so. */
final class Reconnect {
    /** A session that lasted this long was a good one: the next try comes soon. */
    static final Duration GOOD_SESSION = Duration.ofSeconds(5);

    private final Address address;
    private final Backoff backoff = new Backoff();
    private final Quiet quiet = new Quiet();
    /** When the session has lasted long enough; never, while there is none. */
    private Deadline good = Deadline.NEVER;

    Reconnect(Address address) {
        this.address = address;
    }

    /** A session is open. */
    void opened(String sessionId) {
        Run.LOG.log(Level.INFO, "session {0} with the sidecar at {1} is open", sessionId, address);
        good = Deadline.in(GOOD_SESSION);
        quiet.end();
    }

    /**
     * A try failed, or a session was lost.
     *
     * @return how long to wait before the next try
     * @throws SidecarException if trying again is in vain
     */
    Duration failed(SessionLost lost) {
        if (lost.refusal().isPresent()) {
            throw lost.refusal().get();
        }
        boolean wasOpen = good != Deadline.NEVER;
        if (good.isOver()) {
            backoff.reset();
        }
        good = Deadline.NEVER;
        if (wasOpen || quiet.mayLog()) {
            Level level = lost.isTrouble() ? Level.WARNING : Level.INFO;
            Run.LOG.log(level, "{0} (trying again until it works)", lost.getMessage());
        }
        Duration pause = backoff.next();
        return pause.compareTo(lost.retryAfter()) > 0 ? pause : lost.retryAfter();
    }
}
