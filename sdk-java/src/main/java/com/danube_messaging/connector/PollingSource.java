package com.danube_messaging.connector;

import java.util.List;
import java.util.Optional;

/** Reads records from an external system that is asked for them. */
@FunctionalInterface
public interface PollingSource extends Source {
    /**
     * Returns what is new. Called only while Danube wants records and none of those before waits to be sent. It should return
     * soon, for {@link #commit} waits for it; after an empty list the next call follows after
     * {@link SourceOptions.Builder#pollInterval}.
     *
     * @return records, or an empty list while there is nothing new, or an empty {@code Optional} if nothing will ever come
     *     again: then everything is committed, and the run ends
     * @throws FatalException to end the run
     * @throws Exception any other is logged, and the next call follows after a growing pause (or the
     *     {@link RetryException}'s)
     */
    Optional<List<SourceRecord>> poll() throws Exception;
}
