package com.danube_messaging.connector;

import java.time.Duration;
import java.util.concurrent.ThreadLocalRandom;

/** Pauses that double from 100 ms to 10 s, each with full jitter. */
final class Backoff {
    static final Duration FIRST = Duration.ofMillis(100);
    static final Duration LONGEST = Duration.ofSeconds(10);

    private Duration longest = FIRST;

    Duration next() {
        Duration pause = Duration.ofNanos(ThreadLocalRandom.current().nextLong(longest.toNanos() + 1));
        Duration doubled = longest.multipliedBy(2);
        longest = doubled.compareTo(LONGEST) < 0 ? doubled : LONGEST;
        return pause;
    }

    void reset() {
        longest = FIRST;
    }
}
