package com.danube_messaging.connector;

import java.time.Duration;

/**
 * Retry behaviour that a sink proposes; what the operator's file at the sidecar says wins. Null means the sidecar's default.
 *
 * @param maxRetries failed attempts after the first one before a record counts as exhausted; default 3
 * @param initialBackoff backoff before the first retry, doubled for each further one, with full jitter; default 1 s
 * @param maxBackoff upper bound of the backoff; default 30 s
 */
public record RetrySettings(Integer maxRetries, Duration initialBackoff, Duration maxBackoff) {
    /** Checks that nothing is negative. */
    public RetrySettings {
        if (maxRetries != null && maxRetries < 0) {
            throw new IllegalArgumentException("maxRetries is " + maxRetries + ": expected 0 or more");
        }
    }
}
