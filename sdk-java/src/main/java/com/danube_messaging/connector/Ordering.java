package com.danube_messaging.connector;

/** Which records wait for each other: those of one lane are offered in order, and one that is retried holds those behind it. */
public enum Ordering {
    /** A lane is one routing key; a record without a key is a lane of its own. The default. */
    KEY,
    /** A lane is one partition of the topic. */
    PARTITION,
    /** Every record is a lane of its own. */
    NONE
}
