package com.danube_messaging.connector;

import java.util.List;

/** Writes records from Danube to an external system, many at a time, and says what became of each. */
@FunctionalInterface
public interface BatchSink extends Connector {
    /**
     * Writes a batch. Records of one key stand in their order; where one of them is to be retried, those of its key behind it
     * should be too, or they overtake it.
     *
     * @param records never empty, unmodifiable; how many at most, {@link SinkOptions.Builder#maxBatchRecords} says
     * @return one outcome for each record, in their order; {@link Outcome#allWritten} where nothing went wrong
     * @throws FatalException if the connector cannot go on: the run ends with it
     * @throws Exception any other is the outcome of every record of the batch, as {@link Outcome#of} tells: one that is no
     *     {@link ConnectorException} has all of them offered again
     */
    List<Outcome> processBatch(List<Record> records) throws Exception;
}
