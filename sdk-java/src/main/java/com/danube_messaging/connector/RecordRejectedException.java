package com.danube_messaging.connector;

/** Danube can never take this record. {@link #code} is TOO_LARGE, UNDECLARED_TOPIC or SCHEMA_MISMATCH. */
public final class RecordRejectedException extends ConnectorException {
    private static final long serialVersionUID = 1;

    RecordRejectedException(String code, String message) {
        super(code, message, null);
    }
}
