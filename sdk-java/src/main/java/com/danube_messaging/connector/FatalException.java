package com.danube_messaging.connector;

/** The connector cannot go on: nothing more is written, nothing becomes a dead letter, and the run ends with it. */
public final class FatalException extends ConnectorException {
    private static final long serialVersionUID = 1;

    /**
     * An error of this code.
     *
     * @param code a short constant in UPPER_SNAKE, for metrics and dead letters
     * @param message what happened, for the operator; never put payloads or secrets here
     */
    public FatalException(String code, String message) {
        this(code, message, null);
    }

    /**
     * An error of this code that has a cause.
     *
     * @param code a short constant in UPPER_SNAKE, for metrics and dead letters
     * @param message what happened, for the operator; never put payloads or secrets here
     * @param cause what caused it, or null
     */
    public FatalException(String code, String message, Throwable cause) {
        super(code, message, cause);
    }
}
