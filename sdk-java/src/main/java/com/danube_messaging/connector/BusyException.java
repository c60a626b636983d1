package com.danube_messaging.connector;

import java.time.Duration;
import java.util.Optional;

/**
 * The external system takes nothing at present, whatever the record: a rate limit (HTTP 429, 503), maintenance, a failover.
 *
 * <p>Never an attempt of a record. Nothing more is written until {@link #after} has passed: what is in hand is handed back
 * without a call, and the sidecar goes on with one small batch then.
 */
public final class BusyException extends ConnectorException {
    private static final long serialVersionUID = 1;

    /** Null: one second. */
    private final Duration after;

    /**
     * Busy for a second.
     *
     * @param code a short constant in UPPER_SNAKE, for metrics and dead letters
     * @param message what happened, for the operator; never put payloads or secrets here
     */
    public BusyException(String code, String message) {
        this(code, message, null, null);
    }

    /**
     * Busy for this time.
     *
     * @param code a short constant in UPPER_SNAKE, for metrics and dead letters
     * @param message what happened, for the operator; never put payloads or secrets here
     * @param after how long nothing is to be written, or null for a second
     */
    public BusyException(String code, String message, Duration after) {
        this(code, message, after, null);
    }

    /**
     * Busy for this time.
     *
     * @param code a short constant in UPPER_SNAKE, for metrics and dead letters
     * @param message what happened, for the operator; never put payloads or secrets here
     * @param after how long nothing is to be written, or null for a second
     * @param cause what caused it, or null
     */
    public BusyException(String code, String message, Duration after, Throwable cause) {
        super(code, message, cause);
        this.after = after;
    }

    /**
     * How long nothing is to be written.
     *
     * @return empty for a second
     */
    public Optional<Duration> after() {
        return Optional.ofNullable(after);
    }
}
