package com.danube_messaging.connector;

/** Passes records on from an external system that pushes them. */
@FunctionalInterface
public interface StreamingSource extends Source {
    /**
     * Hands over records for as long as there are any. Called once, after {@link #restore}, on a thread of its own, which
     * is interrupted when the connector is asked to stop. To return means that nothing will ever come again: everything is
     * committed, and the run ends.
     *
     * @param emitter takes the records; other threads may use it too, until this method returns
     * @throws Exception to end the run with a {@link FatalException}; after {@link Emitter#isStopping} it is no failure
     */
    void stream(Emitter emitter) throws Exception;
}
