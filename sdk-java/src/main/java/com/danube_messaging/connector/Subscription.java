package com.danube_messaging.connector;

import java.util.List;
import java.util.Objects;

/**
 * A Danube subscription to consume, unless the operator's file at the sidecar names others.
 *
 * @param topic the topic, as "/namespace/topic"; all its partitions are consumed
 * @param name the subscription's name, or null for the connector's
 * @param type how it is shared, or null for EXCLUSIVE
 * @param consumerName the consumer's name, or null for the connector's; it must be unique at the broker
 * @param keyFilters glob patterns of routing keys; KEY_SHARED only
 */
public record Subscription(
        String topic, String name, SubscriptionType type, String consumerName, List<String> keyFilters) {
    /** Checks that the topic is there. */
    public Subscription {
        Objects.requireNonNull(topic, "topic");
        keyFilters = List.copyOf(keyFilters);
    }

    /**
     * A subscription of this topic with the sidecar's defaults.
     *
     * @param topic the topic, as "/namespace/topic"
     * @return the subscription
     */
    public static Subscription of(String topic) {
        return new Subscription(topic, null, null, null, List.of());
    }

    /**
     * The same with another name.
     *
     * @param name the subscription's name
     * @return a new subscription
     */
    public Subscription withName(String name) {
        return new Subscription(topic, name, type, consumerName, keyFilters);
    }

    /**
     * The same of another type.
     *
     * @param type how it is shared
     * @return a new subscription
     */
    public Subscription withType(SubscriptionType type) {
        return new Subscription(topic, name, type, consumerName, keyFilters);
    }

    /**
     * The same with another consumer name.
     *
     * @param consumerName unique at the broker
     * @return a new subscription
     */
    public Subscription withConsumerName(String consumerName) {
        return new Subscription(topic, name, type, consumerName, keyFilters);
    }

    /**
     * The same with these key filters.
     *
     * @param keyFilters glob patterns of routing keys; KEY_SHARED only
     * @return a new subscription
     */
    public Subscription withKeyFilters(String... keyFilters) {
        return new Subscription(topic, name, type, consumerName, List.of(keyFilters));
    }
}
