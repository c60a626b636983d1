package com.danube_messaging.connector;

/**
 * The source is stopping. Of a record that was taken before, it is not known whether Danube has it: it is read again at the
 * next start.
 */
public final class SourceStoppedException extends ConnectorException {
    private static final long serialVersionUID = 1;

    SourceStoppedException() {
        super("STOPPED", "the source is stopping", null);
    }
}
