package com.danube_messaging.connector;

import java.time.Duration;
import java.util.concurrent.TimeUnit;

/** A moment on the monotonic clock; {@link #NEVER} does not come. */
final class Deadline {
    static final Deadline NEVER = new Deadline(0, false);

    private final long nanoTime;
    private final boolean comes;

    private Deadline(long nanoTime, boolean comes) {
        this.nanoTime = nanoTime;
        this.comes = comes;
    }

    static Deadline in(Duration duration) {
        // Half the clock's range: sums and differences of two moments do not overflow.
        long nanos = duration.getSeconds() >= TimeUnit.NANOSECONDS.toSeconds(Long.MAX_VALUE / 2)
            ? Long.MAX_VALUE / 2
            : duration.toNanos();
        return new Deadline(System.nanoTime() + nanos, true);
    }

    static Deadline now() {
        return in(Duration.ZERO);
    }

    boolean isOver() {
        return comes && leftNanos() <= 0;
    }

    /** Nanoseconds until then; negative when it is over. */
    long leftNanos() {
        return comes ? nanoTime - System.nanoTime() : Long.MAX_VALUE;
    }

    Deadline or(Deadline other) {
        return leftNanos() <= other.leftNanos() ? this : other;
    }
}
