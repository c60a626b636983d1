package com.danube_messaging.connector;

/**
 * The sidecar refuses this connector, and will again until something is changed. {@link #code} is the gRPC status:
 * INVALID_ARGUMENT, FAILED_PRECONDITION, PERMISSION_DENIED, UNAUTHENTICATED, or ABORTED where another process of the same
 * source has taken over.
 */
public final class SidecarException extends ConnectorException {
    private static final long serialVersionUID = 1;

    private final String reason;

    SidecarException(String code, String reason, String message) {
        super(code, message, null);
        this.reason = reason;
    }

    /**
     * What the sidecar objects to.
     *
     * @return the sidecar's constant for it; empty where it gave none
     */
    public String reason() {
        return reason;
    }
}
