package com.danube_messaging.connector;

/**
 * Writes records from Danube to an external system, one at a time.
 *
 * <p>What is only buffered when {@link #process} returns is acked before it is written: a sink that collects records is a
 * {@link BatchSink}.
 */
@FunctionalInterface
public interface Sink extends Connector {
    /**
     * Writes one record. To return means that it is safe in the external system: it is acked, and does not come again.
     *
     * @param record what to write; {@link Record#dedupId()} makes writes idempotent
     * @throws RetryException to have it offered again
     * @throws RejectException if it can never be written: it becomes a dead letter
     * @throws FilteredException if it is deliberately not written
     * @throws FatalException if the connector cannot go on: the run ends with it
     * @throws Exception any other counts as {@code RetryException} with the code {@code EXCEPTION}
     */
    void process(Record record) throws Exception;
}
