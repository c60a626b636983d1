package com.danube_messaging.connector;

/** What is different between sinks and sources. */
interface Driver {
    /**
     * Opens a session and serves until nothing is left to do.
     *
     * @throws SessionLost if there is none, or no longer: another one is needed
     * @throws FatalException if the connector cannot go on
     */
    void session(Reconnect reconnect) throws SessionLost;

    /**
     * Whether nothing is left to do, or no time to do it.
     *
     * @throws FatalException if the connector cannot go on
     */
    boolean isDone();

    /** Whether what is left to do needs the sidecar: else only the connector has to come to an end of something. */
    boolean needsSession();

    /** The run is over: nothing more is sent. Called once, after the connector's last call but {@code close}. */
    default void end() {}
}
