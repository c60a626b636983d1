package com.danube_messaging.connector;

/**
 * What sinks and sources have in common: a beginning, a health, an end.
 *
 * <p>None of the methods but {@link #health()} is called while another one runs, unless a subtype says so.
 */
public interface Connector {
    /**
     * Connects to the external system. Called once, when the first session with the sidecar is open, before any record.
     *
     * @param settings the connector's own settings, from the operator's file at the sidecar
     * @throws Exception to end the run with a {@link FatalException}
     */
    default void open(Settings settings) throws Exception {}

    /**
     * Returns if the external system is well. The sidecar asks from time to time, also while a record is being
     * written: called on a thread of its own, one call at a time, after {@link #open}. A call has 4 s to return.
     *
     * @throws Exception if the external system is not well; the message is shown to the operator
     */
    default void health() throws Exception {}

    /**
     * Flushes and closes. Called once, last, also after a failure (of {@link #open} too). Where another method does not
     * return in time when the connector is asked to stop, its thread is interrupted, and this one is called all the same.
     *
     * @throws Exception to end the run with a {@link FatalException}, unless it fails with something else already
     */
    default void close() throws Exception {}
}
