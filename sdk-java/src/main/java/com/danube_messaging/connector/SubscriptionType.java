package com.danube_messaging.connector;

/** Danube's subscription types. */
public enum SubscriptionType {
    /** One consumer, in order. The default. */
    EXCLUSIVE,
    /** Several consumers share the messages. */
    SHARED,
    /** One active consumer. Danube 0.15 does not fail over: the sidecar warns. */
    FAILOVER,
    /** Keys are spread over consumers. Refused unless the operator allows it: Danube 0.15 can lose messages with it. */
    KEY_SHARED
}
