package com.danube_messaging.connector;

/** The record can never be written: it becomes a dead letter, and the others go on. */
public final class RejectException extends ConnectorException {
    private static final long serialVersionUID = 1;

    /**
     * An error of this code.
     *
     * @param code a short constant in UPPER_SNAKE, for metrics and dead letters
     * @param message what happened, for the operator; never put payloads or secrets here
     */
    public RejectException(String code, String message) {
        this(code, message, null);
    }

    /**
     * An error of this code that has a cause.
     *
     * @param code a short constant in UPPER_SNAKE, for metrics and dead letters
     * @param message what happened, for the operator; never put payloads or secrets here
     * @param cause what caused it, or null
     */
    public RejectException(String code, String message, Throwable cause) {
        super(code, message, cause);
    }
}
