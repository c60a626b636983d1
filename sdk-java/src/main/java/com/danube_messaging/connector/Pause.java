package com.danube_messaging.connector;

import java.time.Duration;

/**
 * How long the external system is left alone: until then each record is handed back without a call. It outlives sessions, as
 * the external system does not care for them.
 */
final class Pause {
    /** What a busy outcome without a time means. */
    static final Duration DEFAULT = Duration.ofSeconds(1);

    private Deadline end = Deadline.now();
    private Outcome said;

    /** Leaves it alone for as long as it asked; never for less than it asked before. */
    synchronized void begin(Outcome busy) {
        Deadline asked = Deadline.in(busy.retryAfter() == null ? DEFAULT : busy.retryAfter());
        if (said == null || asked.leftNanos() > end.leftNanos()) {
            end = asked;
            said = busy;
        }
    }

    /** What is answered meanwhile: what it said, for what is left of the time. Null: it may be called. */
    synchronized Outcome left() {
        long left = end.leftNanos();
        return said == null || left <= 0 ? null : Outcome.busy(said.code(), said.message(), Duration.ofNanos(left));
    }
}
