package com.danube_messaging.connector;

import com.google.protobuf.ByteString;
import java.util.Map;
import java.util.Optional;

/** One message for Danube. Immutable. */
public final class SourceRecord {
    private final com.danube_messaging.connector.v1.SourceRecord wire;

    private SourceRecord(com.danube_messaging.connector.v1.SourceRecord wire) {
        this.wire = wire;
    }

    /**
     * Begins a record for the only topic that this source publishes to.
     *
     * @return a builder of a record with an empty payload
     */
    public static Builder builder() {
        return new Builder();
    }

    /**
     * Begins a record for one of the declared topics.
     *
     * @param topic the topic, as "/namespace/topic"
     * @return a builder of a record with an empty payload
     */
    public static Builder builder(String topic) {
        Builder builder = new Builder();
        builder.wire.setTopic(topic);
        return builder;
    }

    /**
     * Where it is published.
     *
     * @return empty for the only topic that this source publishes to
     */
    public String topic() {
        return wire.getTopic();
    }

    /**
     * The message.
     *
     * @return a copy
     */
    public byte[] payload() {
        return wire.getPayload().toByteArray();
    }

    /**
     * The routing key.
     *
     * @return empty where it has none
     */
    public Optional<String> key() {
        return wire.hasKey() ? Optional.of(wire.getKey()) : Optional.empty();
    }

    /**
     * The attributes for the consumers.
     *
     * @return unmodifiable
     */
    public Map<String, String> attributes() {
        return wire.getAttributesMap();
    }

    /**
     * Where it stands in the external system.
     *
     * @return empty where it has no place
     */
    public Optional<Position> position() {
        return wire.hasPosition() ? Optional.of(Frames.position(wire.getPosition())) : Optional.empty();
    }

    /** Names the record without its content. */
    @Override
    public String toString() {
        String where = wire.hasPosition() ? wire.getPosition().getSourcePartition() + " " + wire.getPosition().getOffset() : "-";
        return "SourceRecord[" + topic() + ", " + where + "]";
    }

    com.danube_messaging.connector.v1.SourceRecord wire() {
        return wire;
    }

    /** Builds records. */
    public static final class Builder {
        private final com.danube_messaging.connector.v1.SourceRecord.Builder wire =
            com.danube_messaging.connector.v1.SourceRecord.newBuilder();

        private Builder() {}

        /**
         * Sets the message.
         *
         * @param payload copied
         * @return this
         */
        public Builder payload(byte[] payload) {
            wire.setPayload(ByteString.copyFrom(payload));
            return this;
        }

        /**
         * Sets the message.
         *
         * @param text sent as UTF-8
         * @return this
         */
        public Builder payload(String text) {
            wire.setPayload(ByteString.copyFromUtf8(text));
            return this;
        }

        /**
         * Sets the routing key, which chooses the partition; records of one key stay in order.
         *
         * @param key the key
         * @return this
         */
        public Builder key(String key) {
            wire.setKey(key);
            return this;
        }

        /**
         * Adds an attribute for the consumers.
         *
         * @param name its name; those that begin with "x-source-" are the sidecar's
         * @param value its value
         * @return this
         */
        public Builder attribute(String name, String value) {
            wire.putAttributes(name, value);
            return this;
        }

        /**
         * Sets where it stands in the external system. Once everything up to it is confirmed, {@link Source#commit} gets it,
         * and {@link Source#restore} at the next start.
         *
         * @param position the place
         * @return this
         */
        public Builder position(Position position) {
            wire.setPosition(Frames.position(position));
            return this;
        }

        /**
         * Builds the record.
         *
         * @return the record
         */
        public SourceRecord build() {
            return new SourceRecord(wire.build());
        }
    }
}
