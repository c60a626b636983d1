package com.danube_messaging.connector;

/**
 * Something went wrong, and it is known what. What a connector throws says what is to follow: {@link RetryException},
 * {@link BusyException}, {@link RejectException}, {@link FilteredException}, {@link FatalException}. What {@link Runner#run}
 * throws is a {@code FatalException} or a {@link SidecarException}.
 */
public abstract class ConnectorException extends RuntimeException {
    private static final long serialVersionUID = 1;

    private final String code;

    /** An error of this code, with what caused it, or null. */
    ConnectorException(String code, String message, Throwable cause) {
        super(message, cause);
        this.code = code;
    }

    /**
     * What kind of error it is, for metrics and dead letters.
     *
     * @return a short constant in UPPER_SNAKE
     */
    public final String code() {
        return code;
    }
}
