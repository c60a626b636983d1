package com.danube_messaging.connector;

import java.time.Duration;

/** Lets the same complaint be logged at once, and then at most every 30 s. */
final class Quiet {
    private static final Duration SILENCE = Duration.ofSeconds(30);

    private Deadline until = Deadline.now();

    boolean mayLog() {
        if (!until.isOver()) {
            return false;
        }
        until = Deadline.in(SILENCE);
        return true;
    }

    /** The trouble is over: the next one is logged at once. */
    void end() {
        until = Deadline.now();
    }
}
