package com.danube_messaging.connector;

import com.danube_messaging.connector.v1.Capability;
import com.danube_messaging.connector.v1.Fault;
import com.danube_messaging.connector.v1.SinkFailure;
import com.danube_messaging.connector.v1.SinkOpen;
import com.danube_messaging.connector.v1.SourceOpen;
import java.nio.charset.StandardCharsets;
import java.time.Duration;

/** Between the wire's words and the connector's. */
final class Frames {
    /** Name and version, for the sidecar's logs; a test compares it with pom.xml. */
    static final String SDK = "danube-connector-java/0.1.0";
    private static final int PROTOCOL_VERSION = 1;
    /** Longest text for the operator, in bytes: what a dead letter keeps of it. */
    private static final int LONGEST_TEXT = 1024;

    private Frames() {}

    /** The first frame of a sink. What is unset stays unset: the defaults are the sidecar's. */
    static SinkOpen open(SinkOptions options) {
        SinkOpen.Builder open = SinkOpen.newBuilder()
            .setConnector(options.connector())
            .setMinProtocolVersion(PROTOCOL_VERSION)
            .setMaxProtocolVersion(PROTOCOL_VERSION)
            .addCapabilities(Capability.CAPABILITY_PROBE)
            .addCapabilities(Capability.CAPABILITY_DRAIN)
            .addCapabilities(Capability.CAPABILITY_SCHEMA)
            .setSdk(SDK)
            .setWindowRecords(options.windowRecords())
            .setWindowBytes(options.windowBytes())
            .setMaxBatchRecords(options.maxBatchRecords())
            .setMaxBatchBytes(options.maxBatchBytes());
        options.subscriptions().forEach(subscription -> open.addSubscriptions(subscription(subscription)));
        if (options.workerId() != null) {
            open.setWorkerId(options.workerId());
        }
        if (options.linger() != null) {
            open.setLinger(duration(options.linger()));
        }
        if (options.ordering() != null) {
            open.setOrdering(ordering(options.ordering()));
        }
        if (options.retry() != null) {
            open.setRetry(retry(options.retry()));
        }
        return open.build();
    }

    /** The first frame of a source. */
    static SourceOpen open(SourceOptions options) {
        SourceOpen.Builder open = SourceOpen.newBuilder()
            .setConnector(options.connector())
            .setMinProtocolVersion(PROTOCOL_VERSION)
            .setMaxProtocolVersion(PROTOCOL_VERSION)
            .addCapabilities(Capability.CAPABILITY_PROBE)
            .addCapabilities(Capability.CAPABILITY_DRAIN)
            .addCapabilities(Capability.CAPABILITY_POSITION_PAGES)
            .setSdk(SDK);
        options.producers().forEach(producer -> open.addProducers(producer(producer)));
        if (options.workerId() != null) {
            open.setWorkerId(options.workerId());
        }
        return open.build();
    }

    private static com.danube_messaging.connector.v1.Subscription subscription(Subscription subscription) {
        var wire = com.danube_messaging.connector.v1.Subscription.newBuilder()
            .setTopic(subscription.topic())
            .addAllKeyFilters(subscription.keyFilters());
        if (subscription.name() != null) {
            wire.setSubscription(subscription.name());
        }
        if (subscription.consumerName() != null) {
            wire.setConsumerName(subscription.consumerName());
        }
        if (subscription.type() != null) {
            wire.setType(type(subscription.type()));
        }
        return wire.build();
    }

    private static com.danube_messaging.connector.v1.SubscriptionType type(SubscriptionType type) {
        return switch (type) {
            case EXCLUSIVE -> com.danube_messaging.connector.v1.SubscriptionType.SUBSCRIPTION_TYPE_EXCLUSIVE;
            case SHARED -> com.danube_messaging.connector.v1.SubscriptionType.SUBSCRIPTION_TYPE_SHARED;
            case FAILOVER -> com.danube_messaging.connector.v1.SubscriptionType.SUBSCRIPTION_TYPE_FAILOVER;
            case KEY_SHARED -> com.danube_messaging.connector.v1.SubscriptionType.SUBSCRIPTION_TYPE_KEY_SHARED;
        };
    }

    private static com.danube_messaging.connector.v1.Ordering ordering(Ordering ordering) {
        return switch (ordering) {
            case KEY -> com.danube_messaging.connector.v1.Ordering.ORDERING_KEY;
            case PARTITION -> com.danube_messaging.connector.v1.Ordering.ORDERING_PARTITION;
            case NONE -> com.danube_messaging.connector.v1.Ordering.ORDERING_NONE;
        };
    }

    private static com.danube_messaging.connector.v1.RetrySettings retry(RetrySettings retry) {
        var wire = com.danube_messaging.connector.v1.RetrySettings.newBuilder();
        if (retry.maxRetries() != null) {
            wire.setMaxRetries(retry.maxRetries());
        }
        if (retry.initialBackoff() != null) {
            wire.setInitialBackoff(duration(retry.initialBackoff()));
        }
        if (retry.maxBackoff() != null) {
            wire.setMaxBackoff(duration(retry.maxBackoff()));
        }
        return wire.build();
    }

    private static com.danube_messaging.connector.v1.Producer producer(Producer producer) {
        var wire = com.danube_messaging.connector.v1.Producer.newBuilder()
            .setTopic(producer.topic())
            .setPartitions(producer.partitions());
        if (producer.reliable() != null) {
            wire.setReliable(producer.reliable());
        }
        if (producer.schemaSubject() != null) {
            wire.setSchemaSubject(producer.schemaSubject());
        }
        return wire.build();
    }

    static com.danube_messaging.connector.v1.Position position(Position position) {
        var wire = com.danube_messaging.connector.v1.Position.newBuilder()
            .setSourcePartition(position.sourcePartition())
            .setOffset(position.offset());
        if (position.metadata() != null) {
            wire.setMetadata(position.metadata());
        }
        return wire.build();
    }

    static Position position(com.danube_messaging.connector.v1.Position wire) {
        return new Position(wire.getSourcePartition(), wire.getOffset(), wire.hasMetadata() ? wire.getMetadata() : null);
    }

    /** What the sidecar is told of a record that was not written. */
    static SinkFailure failure(long deliveryId, Outcome outcome) {
        SinkFailure.Builder failure = SinkFailure.newBuilder()
            .setDeliveryId(deliveryId)
            .setOutcome(switch (outcome.kind()) {
                case WRITTEN -> throw new IllegalArgumentException("a record that was written is no failure");
                case RETRY -> com.danube_messaging.connector.v1.Outcome.OUTCOME_RETRY;
                case BUSY -> com.danube_messaging.connector.v1.Outcome.OUTCOME_BUSY;
                case REJECT -> com.danube_messaging.connector.v1.Outcome.OUTCOME_REJECT;
                case FILTERED -> com.danube_messaging.connector.v1.Outcome.OUTCOME_FILTERED;
            })
            .setCode(shortened(outcome.code()))
            .setMessage(shortened(outcome.message()));
        if (outcome.retryAfter() != null) {
            failure.setRetryAfter(duration(outcome.retryAfter()));
        }
        return failure.build();
    }

    static Fault fault(FatalException fatal) {
        return Fault.newBuilder()
            .setCode(shortened(fatal.code()))
            .setMessage(shortened(String.valueOf(fatal.getMessage())))
            .build();
    }

    /** The text, cut between characters where it is too long for the operator. */
    static String shortened(String text) {
        byte[] bytes = text.getBytes(StandardCharsets.UTF_8);
        if (bytes.length <= LONGEST_TEXT) {
            return text;
        }
        int end = LONGEST_TEXT;
        while ((bytes[end] & 0xC0) == 0x80) {
            end--;
        }
        return new String(bytes, 0, end, StandardCharsets.UTF_8);
    }

    static com.google.protobuf.Duration duration(Duration duration) {
        return com.google.protobuf.Duration.newBuilder()
            .setSeconds(duration.getSeconds())
            .setNanos(duration.getNano())
            .build();
    }

    static Duration duration(com.google.protobuf.Duration wire) {
        return Duration.ofSeconds(wire.getSeconds(), wire.getNanos());
    }
}
