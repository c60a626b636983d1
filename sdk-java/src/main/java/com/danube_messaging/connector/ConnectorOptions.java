package com.danube_messaging.connector;

import java.time.Duration;
import java.util.Objects;

/** What sinks and sources can both be told: {@link SinkOptions}, {@link SourceOptions}. Immutable. */
public abstract class ConnectorOptions {
    private static final String ADDRESS = "DANUBE_SIDECAR_ADDRESS";
    private static final String TOKEN = "DANUBE_SIDECAR_TOKEN";
    private static final String NAME = "CONNECTOR_NAME";

    private final String connector;
    private final String workerId;
    private final Address address;
    private final String token;
    private final Duration drainTimeout;
    private final boolean stopOnSignals;

    ConnectorOptions(Builder<?> builder) {
        connector = builder.connector;
        if (connector == null || connector.isEmpty()) {
            throw new IllegalArgumentException("the connector has no name: set connector(...) or the variable " + NAME);
        }
        workerId = builder.workerId;
        address = Address.parse(builder.address);
        token = checked(builder.token);
        drainTimeout = builder.drainTimeout;
        stopOnSignals = builder.stopOnSignals;
    }

    /**
     * The connector's name.
     *
     * @return never empty
     */
    public final String connector() {
        return connector;
    }

    /** Null where it was not set. */
    final String workerId() {
        return workerId;
    }

    final Address address() {
        return address;
    }

    /** Null where there is none. */
    final String token() {
        return token;
    }

    final Duration drainTimeout() {
        return drainTimeout;
    }

    final boolean stopOnSignals() {
        return stopOnSignals;
    }

    /**
     * Builds options.
     *
     * @param <B> the builder's own type
     */
    public abstract static class Builder<B extends Builder<B>> {
        private String connector = System.getenv(NAME);
        private String workerId;
        private String address = System.getenv().getOrDefault(ADDRESS, "http://127.0.0.1:6670");
        private String token = System.getenv(TOKEN);
        private Duration drainTimeout = Duration.ofSeconds(10);
        private boolean stopOnSignals = true;

        Builder() {}

        abstract B self();

        /**
         * Sets the connector's name: the sidecar's key for configuration, metrics, dead letters and positions. Default: the
         * environment variable {@code CONNECTOR_NAME}.
         *
         * @param name not empty
         * @return this
         */
        public B connector(String name) {
            connector = Objects.requireNonNull(name, "name");
            return self();
        }

        /**
         * Sets what tells processes of one connector apart in logs and status. Default: given by the sidecar.
         *
         * @param workerId the id
         * @return this
         */
        public B workerId(String workerId) {
            this.workerId = Objects.requireNonNull(workerId, "workerId");
            return self();
        }

        /**
         * Sets where the sidecar is. Default: the environment variable {@code DANUBE_SIDECAR_ADDRESS}, else
         * {@code http://127.0.0.1:6670}.
         *
         * @param address {@code http://HOST:PORT} or {@code unix:///PATH}; {@code build()} checks it
         * @return this
         */
        public B address(String address) {
            this.address = Objects.requireNonNull(address, "address");
            return self();
        }

        /**
         * Sets the token that the sidecar asks for. It is never logged. Default: the environment variable
         * {@code DANUBE_SIDECAR_TOKEN}, else none.
         *
         * @param token the token; {@code build()} checks that a header can carry it
         * @return this
         */
        public B token(String token) {
            this.token = Objects.requireNonNull(token, "token");
            return self();
        }

        /**
         * Sets how long what is in hand may take when the connector is asked to stop. Default 10 s.
         *
         * @param timeout not negative
         * @return this
         */
        public B drainTimeout(Duration timeout) {
            drainTimeout = notNegative("drainTimeout", timeout);
            return self();
        }

        /**
         * Sets whether SIGTERM, SIGINT and {@code System.exit} stop the connector while it runs. Default true; without it,
         * call {@link Runner#stop}.
         *
         * @param stopOnSignals whether they do
         * @return this
         */
        public B stopOnSignals(boolean stopOnSignals) {
            this.stopOnSignals = stopOnSignals;
            return self();
        }
    }

    /** The token, or null where there is none. */
    private static String checked(String token) {
        if (token == null || token.isEmpty()) {
            return null;
        }
        if (!token.chars().allMatch(character -> character >= 0x20 && character < 0x7f)) {
            throw new IllegalArgumentException("the sidecar's token has characters that no header may have");
        }
        return token;
    }

    static Duration notNegative(String name, Duration duration) {
        if (duration.isNegative()) {
            throw new IllegalArgumentException(name + " is " + duration + ": expected 0 or more");
        }
        return duration;
    }

    static long notNegative(String name, long value) {
        if (value < 0) {
            throw new IllegalArgumentException(name + " is " + value + ": expected 0 or more");
        }
        return value;
    }
}
