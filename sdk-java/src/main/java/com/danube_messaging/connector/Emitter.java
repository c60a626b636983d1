package com.danube_messaging.connector;

import java.util.Optional;
import java.util.concurrent.CompletableFuture;

/** Takes a {@link StreamingSource}'s records. Safe for use by many threads; records go out in the order they were taken. */
public interface Emitter {
    /**
     * Hands over a record, and waits for as long as Danube wants no more (or the sidecar is away).
     *
     * @param record the record
     * @return completes when the record is committed; fails with {@link RecordRejectedException} if Danube can never take
     *     it, with {@link SourceStoppedException} if the source stopped before it was known to be safe. It completes on
     *     the connector's thread: what hangs on it should not block.
     * @throws InterruptedException if the thread is interrupted while it waits; the record is not taken
     * @throws SourceStoppedException if the source is stopping; the record is not taken
     * @throws RecordTooLargeException if no frame can carry the record; it is not taken
     */
    CompletableFuture<Void> emit(SourceRecord record) throws InterruptedException;

    /**
     * Hands over a record if there is room for it now: else an HTTP source can answer 429.
     *
     * @param record the record
     * @return as {@link #emit}, or empty where there is no room; the record is not taken then
     * @throws SourceStoppedException if the source is stopping; the record is not taken
     * @throws RecordTooLargeException if no frame can carry the record; it is not taken
     */
    Optional<CompletableFuture<Void>> tryEmit(SourceRecord record);

    /**
     * Whether the connector was asked to stop: nothing more is taken.
     *
     * @return whether it was
     */
    boolean isStopping();
}
