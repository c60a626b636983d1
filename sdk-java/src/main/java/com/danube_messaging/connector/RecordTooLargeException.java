package com.danube_messaging.connector;

/** No frame can carry this record: split it, or leave it out. */
public final class RecordTooLargeException extends ConnectorException {
    private static final long serialVersionUID = 1;

    RecordTooLargeException(String topic, int bytes, int limit) {
        super(
            "RECORD_TOO_LARGE",
            "a record for " + (topic.isEmpty() ? "the only topic" : topic) + " has " + bytes + " bytes, and the sidecar"
                + " accepts frames of at most " + limit + ": split it, or leave it out",
            null);
    }
}
