package com.danube_messaging.connector;

import java.util.Objects;

/**
 * A place in the external system up to which a source has been read.
 *
 * @param sourcePartition the sequence that {@code offset} counts in: a file, a table, a topic; any name that is stable
 *     across restarts
 * @param offset where in that sequence; unsigned
 * @param metadata whatever else is needed to resume there, or null
 */
public record Position(String sourcePartition, long offset, String metadata) {
    /** Checks that the partition is there. */
    public Position {
        Objects.requireNonNull(sourcePartition, "sourcePartition");
    }

    /**
     * A place without metadata.
     *
     * @param sourcePartition the sequence that {@code offset} counts in
     * @param offset where in that sequence
     */
    public Position(String sourcePartition, long offset) {
        this(sourcePartition, offset, null);
    }
}
