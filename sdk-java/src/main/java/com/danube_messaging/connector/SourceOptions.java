package com.danube_messaging.connector;

import java.time.Duration;
import java.util.List;

/** How a source runs. What the operator's file at the sidecar says wins over what is proposed here. Immutable. */
public final class SourceOptions extends ConnectorOptions {
    private final List<Producer> producers;
    private final Duration pollInterval;

    private SourceOptions(Builder builder) {
        super(builder);
        producers = builder.producers;
        pollInterval = builder.pollInterval;
    }

    /**
     * Begins options; all of them have defaults, but for the connector's name.
     *
     * @return a builder
     */
    public static Builder builder() {
        return new Builder();
    }

    List<Producer> producers() {
        return producers;
    }

    Duration pollInterval() {
        return pollInterval;
    }

    /** Builds a source's options. */
    public static final class Builder extends ConnectorOptions.Builder<Builder> {
        private List<Producer> producers = List.of();
        private Duration pollInterval = Duration.ofMillis(100);

        private Builder() {}

        @Override
        Builder self() {
            return this;
        }

        /**
         * Sets where to publish. Default: what the operator's file names. A record for any other topic is rejected.
         *
         * @param topics topics, as "/namespace/topic", reliable and without partitions
         * @return this
         */
        public Builder topics(String... topics) {
            return producers(List.of(topics).stream().map(Producer::of).toArray(Producer[]::new));
        }

        /**
         * Sets where to publish. Default: what the operator's file names. A record for any other topic is rejected.
         *
         * @param producers the topics, and how each is made
         * @return this
         */
        public Builder producers(Producer... producers) {
            this.producers = List.of(producers);
            return this;
        }

        /**
         * Sets how long to wait after a poll that brought nothing. Default 100 ms.
         *
         * @param interval not negative
         * @return this
         */
        public Builder pollInterval(Duration interval) {
            pollInterval = notNegative("pollInterval", interval);
            return this;
        }

        /**
         * Builds the options.
         *
         * @return the options
         * @throws IllegalArgumentException if the connector has no name, the address is none, or no header can carry the
         *     token
         */
        public SourceOptions build() {
            return new SourceOptions(this);
        }
    }
}
