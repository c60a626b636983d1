package com.danube_messaging.connector;

import java.time.Duration;
import java.util.Optional;

/** The record could not be written now: it is offered again, and those of its key wait for it. */
public final class RetryException extends ConnectorException {
    private static final long serialVersionUID = 1;

    /** Null: the sidecar's backoff. */
    private final Duration after;

    /**
     * Offer it again after the sidecar's backoff.
     *
     * @param code a short constant in UPPER_SNAKE, for metrics and dead letters
     * @param message what happened, for the operator; never put payloads or secrets here
     */
    public RetryException(String code, String message) {
        this(code, message, null, null);
    }

    /**
     * Offer it again, but not before this time has passed.
     *
     * @param code a short constant in UPPER_SNAKE, for metrics and dead letters
     * @param message what happened, for the operator; never put payloads or secrets here
     * @param after how long to wait at least, or null for the sidecar's backoff
     */
    public RetryException(String code, String message, Duration after) {
        this(code, message, after, null);
    }

    /**
     * Offer it again, but not before this time has passed.
     *
     * @param code a short constant in UPPER_SNAKE, for metrics and dead letters
     * @param message what happened, for the operator; never put payloads or secrets here
     * @param after how long to wait at least, or null for the sidecar's backoff
     * @param cause what caused it, or null
     */
    public RetryException(String code, String message, Duration after, Throwable cause) {
        super(code, message, cause);
        this.after = after;
    }

    /**
     * How long to wait at least.
     *
     * @return empty for the sidecar's backoff
     */
    public Optional<Duration> after() {
        return Optional.ofNullable(after);
    }
}
