package com.danube_messaging.examples.redis;

import com.danube_messaging.connector.FilteredException;
import com.danube_messaging.connector.Record;
import com.danube_messaging.connector.RejectException;

/** What becomes of a record in Redis. */
interface Mapping {
    /**
     * The command that writes a record.
     *
     * @throws RejectException if it can never be written
     * @throws FilteredException if there is nothing to write
     */
    Write write(Record record);
}
