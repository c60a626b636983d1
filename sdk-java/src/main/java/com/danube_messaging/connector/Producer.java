package com.danube_messaging.connector;

import java.util.Objects;

/**
 * A Danube topic to publish to, unless the operator's file at the sidecar names others.
 *
 * @param topic the topic, as "/namespace/topic"; it is created where it does not exist
 * @param partitions number of partitions, over which records are spread by their key; 0 means a topic without partitions
 * @param reliable whether Danube stores the messages until they are acked; null means true; without it delivery is at most
 *     once
 * @param schemaSubject schema subject of Danube's registry, whose latest version is attached to each message, or null
 */
public record Producer(String topic, int partitions, Boolean reliable, String schemaSubject) {
    /** Checks that the topic is there. */
    public Producer {
        Objects.requireNonNull(topic, "topic");
        if (partitions < 0) {
            throw new IllegalArgumentException("partitions is " + partitions + ": expected 0 or more");
        }
    }

    /**
     * A reliable topic without partitions and schema.
     *
     * @param topic the topic, as "/namespace/topic"
     * @return the producer
     */
    public static Producer of(String topic) {
        return new Producer(topic, 0, null, null);
    }

    /**
     * The same with this many partitions.
     *
     * @param partitions how many; 0 means a topic without partitions
     * @return a new producer
     */
    public Producer withPartitions(int partitions) {
        return new Producer(topic, partitions, reliable, schemaSubject);
    }

    /**
     * The same, reliable or not.
     *
     * @param reliable whether Danube stores the messages until they are acked
     * @return a new producer
     */
    public Producer withReliable(boolean reliable) {
        return new Producer(topic, partitions, reliable, schemaSubject);
    }

    /**
     * The same with a schema.
     *
     * @param schemaSubject schema subject of Danube's registry
     * @return a new producer
     */
    public Producer withSchemaSubject(String schemaSubject) {
        return new Producer(topic, partitions, reliable, schemaSubject);
    }
}
