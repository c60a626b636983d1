package com.danube_messaging.connector;

/** The record is deliberately not written: it is done with, and counted apart. */
public final class FilteredException extends ConnectorException {
    private static final long serialVersionUID = 1;

    /**
     * An error of this code.
     *
     * @param code a short constant in UPPER_SNAKE, for metrics and dead letters
     * @param message what happened, for the operator; never put payloads or secrets here
     */
    public FilteredException(String code, String message) {
        this(code, message, null);
    }

    /**
     * An error of this code that has a cause.
     *
     * @param code a short constant in UPPER_SNAKE, for metrics and dead letters
     * @param message what happened, for the operator; never put payloads or secrets here
     * @param cause what caused it, or null
     */
    public FilteredException(String code, String message, Throwable cause) {
        super(code, message, cause);
    }
}
