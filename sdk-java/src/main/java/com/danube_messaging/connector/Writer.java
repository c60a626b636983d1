package com.danube_messaging.connector;

import java.util.List;
import java.util.function.Function;

/** Hands a batch to a sink, on the connector's thread, and notes what became of each record. */
interface Writer {
    /** Makes a session's writer, which notes what becomes of records there. */
    interface Factory extends Function<Answers, Writer> {}

    /**
     * Hands over a batch.
     *
     * @throws FatalException if the sink cannot go on; what was noted before stands
     */
    void write(List<Record> batch);
}
