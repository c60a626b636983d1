package com.danube_messaging.connector;

import java.util.List;

/**
 * What both kinds of sources have in common: {@link PollingSource} and {@link StreamingSource}.
 *
 * <p>A lost connection is never seen here: what is not committed is kept and sent again.
 */
public interface Source extends Connector {
    /**
     * Learns where to go on. Called once, after {@link #open} and before the first record is asked for.
     *
     * @param positions the last committed position of each source partition; empty at the very first start
     * @throws Exception to end the run with a {@link FatalException}
     */
    default void restore(List<Position> positions) throws Exception {}

    /**
     * Learns what is safe: confirmed by Danube, the positions durable. Never called while {@link PollingSource#poll} runs;
     * a {@link StreamingSource} gets it on another thread than the one that streams.
     *
     * @param positions those of the records, in the order of the records; records without a position are left out
     * @throws Exception a {@link FatalException} ends the run, any other is logged
     */
    default void commit(List<Position> positions) throws Exception {}

    /**
     * Learns that Danube can never take a record; it is logged too. Called once for such a record, where {@link #commit} is
     * called. The others go on, and its position is committed in its turn.
     *
     * @param record the record
     * @param code TOO_LARGE, UNDECLARED_TOPIC or SCHEMA_MISMATCH
     * @param message what was wrong and what was expected
     * @throws Exception a {@link FatalException} ends the run, any other is logged
     */
    default void rejected(SourceRecord record, String code, String message) throws Exception {}
}
