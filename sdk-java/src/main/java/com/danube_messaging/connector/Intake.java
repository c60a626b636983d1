package com.danube_messaging.connector;

/** Where a source's records come from: its polls, or its stream. Used by the running thread. */
interface Intake {
    /** The connector knows where to go on: it may be asked for records. */
    void start();

    /**
     * Takes in what came since the last time.
     *
     * @throws FatalException if the connector cannot go on
     */
    void settle();

    /** Records are wanted: asks for some, if it is time to. */
    void read();

    /** When it is time to ask for records; never, where nobody has to. */
    Deadline due();

    /** Whether the connector may still bring records that nobody asks for. */
    boolean isReading();

    /** Whether no more records will ever come. */
    boolean hasEnded();
}
