package com.danube_messaging.connector;

import com.danube_messaging.connector.v1.SinkRecord;
import com.google.gson.Gson;
import com.google.gson.GsonBuilder;
import com.google.gson.JsonElement;
import com.google.gson.Strictness;
import com.google.protobuf.ByteString;
import java.nio.ByteBuffer;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.time.Instant;
import java.util.Map;
import java.util.Optional;

/**
 * One Danube message, offered to a sink. Immutable.
 *
 * <p>Import it by its name: {@code import com.danube_messaging.connector.*} alone leaves it ambiguous with
 * {@link java.lang.Record}.
 */
public final class Record {
    /** JSON, and nothing that only looks like it: Gson's default takes bare words. */
    private static final Gson STRICT = new GsonBuilder().setStrictness(Strictness.STRICT).create();

    private final SinkRecord wire;
    private final long epoch;
    private final Schema schema;

    /** A record of the wire; {@code schema} is null where it has none. */
    Record(SinkRecord wire, long epoch, Schema schema) {
        this.wire = wire;
        this.epoch = epoch;
        this.schema = schema;
    }

    /**
     * A record for a connector's own tests.
     *
     * @param topic the topic
     * @return a builder of a record with an empty payload, at its first attempt
     */
    public static Builder builder(String topic) {
        return new Builder(topic);
    }

    /**
     * The message's identity: the same at every offer of it. Make writes idempotent with it.
     *
     * @return 32 hexadecimal characters
     */
    public String dedupId() {
        return wire.getDedupId();
    }

    /**
     * How often it was offered, this time included.
     *
     * @return counted from 1
     */
    public int attempt() {
        return wire.getAttempt();
    }

    /**
     * The topic as subscribed: "/default/orders".
     *
     * @return the topic
     */
    public String topic() {
        return wire.getTopic();
    }

    /**
     * The partition's own topic: "/default/orders-part-2".
     *
     * @return the same as {@link #topic} where the topic has no partitions
     */
    public String partitionTopic() {
        return wire.getPartitionTopic();
    }

    /**
     * Where in the partition. It can repeat after a broker restart: use {@link #dedupId} for idempotence.
     *
     * @return consecutive within the partition
     */
    public long offset() {
        return wire.getOffset();
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
     * The message without a copy.
     *
     * @return a read-only view
     */
    public ByteBuffer payloadBuffer() {
        return wire.getPayload().asReadOnlyByteBuffer();
    }

    /**
     * The message as text.
     *
     * @return the text
     * @throws RejectException if it is not UTF-8 (code {@code NOT_UTF8}); thrown on from a {@link Sink} it makes the record
     *     a dead letter
     */
    public String text() {
        try {
            return StandardCharsets.UTF_8.newDecoder().decode(payloadBuffer()).toString();
        } catch (CharacterCodingException e) {
            throw new RejectException("NOT_UTF8", "the payload is not UTF-8");
        }
    }

    /**
     * The message as JSON.
     *
     * @return the value
     * @throws RejectException if it is not JSON (code {@code NOT_JSON}) or not UTF-8
     */
    public JsonElement json() {
        String text = text();
        JsonElement json;
        try {
            json = STRICT.fromJson(text, JsonElement.class);
        } catch (RuntimeException e) {
            throw notJson("the payload is not JSON");
        }
        if (json == null) {
            throw notJson("the payload is empty, and not JSON");
        }
        return json;
    }

    /**
     * The message as an object of the connector's own, read from JSON.
     *
     * @param type a class or record whose fields have the names of the JSON object's
     * @param <T> that type
     * @return a new object
     * @throws RejectException if it is not JSON that fits (code {@code NOT_JSON}) or not UTF-8
     */
    public <T> T json(Class<T> type) {
        JsonElement json = json();
        try {
            return new Gson().fromJson(json, type);
        } catch (RuntimeException e) {
            throw notJson("the payload is not the JSON of a " + type.getSimpleName());
        }
    }

    /** Without the parser's exception, whose message quotes the payload. */
    private static RejectException notJson(String message) {
        return new RejectException("NOT_JSON", message);
    }

    /**
     * The routing key.
     *
     * @return empty where the producer set none
     */
    public Optional<String> key() {
        return wire.hasKey() ? Optional.of(wire.getKey()) : Optional.empty();
    }

    /**
     * The producer's attributes.
     *
     * @return unmodifiable
     */
    public Map<String, String> attributes() {
        return wire.getAttributesMap();
    }

    /**
     * When the producer published it.
     *
     * @return in whole milliseconds
     */
    public Instant publishTime() {
        return Instant.ofEpochMilli(wire.getPublishTimeMs());
    }

    /**
     * Who published it.
     *
     * @return the producer's name
     */
    public String producer() {
        return wire.getProducerName();
    }

    /**
     * The subscription it came from.
     *
     * @return the subscription's name
     */
    public String subscription() {
        return wire.getSubscription();
    }

    /**
     * The payload's schema.
     *
     * @return empty where it has none
     */
    public Optional<Schema> schema() {
        return Optional.ofNullable(schema);
    }

    /**
     * Grows with every session of the connector: a fencing token for external systems that can refuse writes of an older
     * one.
     *
     * @return the session's epoch
     */
    public long epoch() {
        return epoch;
    }

    /** Names the record without its content. */
    @Override
    public String toString() {
        return "Record[" + partitionTopic() + ", offset " + offset() + ", attempt " + attempt() + "]";
    }

    long deliveryId() {
        return wire.getDeliveryId();
    }

    /** Builds records for a connector's own tests. */
    public static final class Builder {
        private final SinkRecord.Builder wire = SinkRecord.newBuilder().setAttempt(1);
        private Schema schema;

        private Builder(String topic) {
            wire.setTopic(topic).setPartitionTopic(topic);
        }

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
         * Sets the routing key.
         *
         * @param key the key
         * @return this
         */
        public Builder key(String key) {
            wire.setKey(key);
            return this;
        }

        /**
         * Adds an attribute.
         *
         * @param name its name
         * @param value its value
         * @return this
         */
        public Builder attribute(String name, String value) {
            wire.putAttributes(name, value);
            return this;
        }

        /**
         * Sets the identity.
         *
         * @param dedupId 32 hexadecimal characters, when it comes from a sidecar
         * @return this
         */
        public Builder dedupId(String dedupId) {
            wire.setDedupId(dedupId);
            return this;
        }

        /**
         * Sets how often it was offered.
         *
         * @param attempt counted from 1
         * @return this
         */
        public Builder attempt(int attempt) {
            wire.setAttempt(attempt);
            return this;
        }

        /**
         * Sets where in the partition it is.
         *
         * @param offset the offset
         * @return this
         */
        public Builder offset(long offset) {
            wire.setOffset(offset);
            return this;
        }

        /**
         * Sets when it was published.
         *
         * @param time kept in whole milliseconds
         * @return this
         */
        public Builder publishTime(Instant time) {
            wire.setPublishTimeMs(time.toEpochMilli());
            return this;
        }

        /**
         * Sets the payload's schema.
         *
         * @param schema the schema
         * @return this
         */
        public Builder schema(Schema schema) {
            this.schema = schema;
            return this;
        }

        /**
         * Builds the record.
         *
         * @return the record
         */
        public Record build() {
            return new Record(wire.build(), 1, schema);
        }
    }
}
