package com.danube_messaging.connector;

import java.time.Duration;
import java.util.List;
import java.util.Objects;

/** How a sink runs. What the operator's file at the sidecar says wins over what is proposed here. Immutable. */
public final class SinkOptions extends ConnectorOptions {
    private final List<Subscription> subscriptions;
    private final int windowRecords;
    private final long windowBytes;
    private final int maxBatchRecords;
    private final long maxBatchBytes;
    private final Duration linger;
    private final Ordering ordering;
    private final RetrySettings retry;

    private SinkOptions(Builder builder) {
        super(builder);
        subscriptions = builder.subscriptions;
        windowRecords = builder.windowRecords;
        windowBytes = builder.windowBytes;
        maxBatchRecords = builder.maxBatchRecords;
        maxBatchBytes = builder.maxBatchBytes;
        linger = builder.linger;
        ordering = builder.ordering;
        retry = builder.retry;
    }

    /**
     * Begins options; all of them have defaults, but for the connector's name.
     *
     * @return a builder
     */
    public static Builder builder() {
        return new Builder();
    }

    List<Subscription> subscriptions() {
        return subscriptions;
    }

    int windowRecords() {
        return windowRecords;
    }

    long windowBytes() {
        return windowBytes;
    }

    int maxBatchRecords() {
        return maxBatchRecords;
    }

    long maxBatchBytes() {
        return maxBatchBytes;
    }

    /** Null where it was not set. */
    Duration linger() {
        return linger;
    }

    /** Null where it was not set. */
    Ordering ordering() {
        return ordering;
    }

    /** Null where it was not set. */
    RetrySettings retry() {
        return retry;
    }

    /** Builds a sink's options. */
    public static final class Builder extends ConnectorOptions.Builder<Builder> {
        private List<Subscription> subscriptions = List.of();
        private int windowRecords;
        private long windowBytes;
        private int maxBatchRecords;
        private long maxBatchBytes;
        private Duration linger;
        private Ordering ordering;
        private RetrySettings retry;

        private Builder() {}

        @Override
        Builder self() {
            return this;
        }

        /**
         * Sets what to consume. Default: what the operator's file names.
         *
         * @param topics topics, as "/namespace/topic", each with the sidecar's defaults
         * @return this
         */
        public Builder topics(String... topics) {
            return subscriptions(List.of(topics).stream().map(Subscription::of).toArray(Subscription[]::new));
        }

        /**
         * Sets what to consume. Default: what the operator's file names.
         *
         * @param subscriptions the subscriptions
         * @return this
         */
        public Builder subscriptions(Subscription... subscriptions) {
            this.subscriptions = List.of(subscriptions);
            return this;
        }

        /**
         * Sets how many records may be unresolved at this worker. Default (0): 1000.
         *
         * @param records 0 or more
         * @return this
         */
        public Builder windowRecords(int records) {
            windowRecords = (int) notNegative("windowRecords", records);
            return this;
        }

        /**
         * Sets how many encoded bytes may be unresolved at this worker. Default (0): 16 MiB.
         *
         * @param bytes 0 or more
         * @return this
         */
        public Builder windowBytes(long bytes) {
            windowBytes = notNegative("windowBytes", bytes);
            return this;
        }

        /**
         * Sets how many records a batch has at most. Default (0): half the window, and 1000 at most.
         *
         * @param records 0 or more
         * @return this
         */
        public Builder maxBatchRecords(int records) {
            maxBatchRecords = (int) notNegative("maxBatchRecords", records);
            return this;
        }

        /**
         * Sets how many encoded bytes a batch has at most. Default (0): 1 MiB.
         *
         * @param bytes 0 or more
         * @return this
         */
        public Builder maxBatchBytes(long bytes) {
            maxBatchBytes = notNegative("maxBatchBytes", bytes);
            return this;
        }

        /**
         * Sets how long a batch that is not full may wait for more records. Default: not at all.
         *
         * @param linger not negative
         * @return this
         */
        public Builder linger(Duration linger) {
            this.linger = notNegative("linger", linger);
            return this;
        }

        /**
         * Sets which records wait for each other. Default {@link Ordering#KEY}.
         *
         * @param ordering the order
         * @return this
         */
        public Builder ordering(Ordering ordering) {
            this.ordering = Objects.requireNonNull(ordering, "ordering");
            return this;
        }

        /**
         * Proposes retry behaviour. Default: the sidecar's.
         *
         * @param retry the behaviour
         * @return this
         */
        public Builder retry(RetrySettings retry) {
            this.retry = Objects.requireNonNull(retry, "retry");
            return this;
        }

        /**
         * Builds the options.
         *
         * @return the options
         * @throws IllegalArgumentException if the connector has no name, the address is none, or no header can carry the
         *     token
         */
        public SinkOptions build() {
            return new SinkOptions(this);
        }
    }
}
