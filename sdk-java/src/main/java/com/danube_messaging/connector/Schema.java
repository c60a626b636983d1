package com.danube_messaging.connector;

import com.google.protobuf.ByteString;

/** A schema of Danube's registry, as a record refers to it. */
public final class Schema {
    private final com.danube_messaging.connector.v1.Schema wire;

    Schema(com.danube_messaging.connector.v1.Schema wire) {
        this.wire = wire;
    }

    /**
     * A schema for a connector's own tests.
     *
     * @param subject what it is registered under
     * @param type "bytes", "string", "number", "avro", "json_schema" or "protobuf"
     * @param definition the schema itself, in the language of its type
     * @param version the version within the subject
     * @param id the registry's id of the subject
     * @return the schema
     */
    public static Schema of(String subject, String type, byte[] definition, int version, long id) {
        var wire = com.danube_messaging.connector.v1.Schema.newBuilder()
            .setSubject(subject)
            .setType(type)
            .setDefinition(ByteString.copyFrom(definition));
        wire.getRefBuilder().setSchemaId(id).setVersion(version);
        return new Schema(wire.build());
    }

    /**
     * What it is registered under.
     *
     * @return the subject
     */
    public String subject() {
        return wire.getSubject();
    }

    /**
     * The language of the definition.
     *
     * @return "bytes", "string", "number", "avro", "json_schema" or "protobuf"
     */
    public String type() {
        return wire.getType();
    }

    /**
     * The schema itself, in the language of its type.
     *
     * @return a copy
     */
    public byte[] definition() {
        return wire.getDefinition().toByteArray();
    }

    /**
     * The version within the subject.
     *
     * @return counted from 1
     */
    public int version() {
        return wire.getRef().getVersion();
    }

    /**
     * The registry's id of the subject.
     *
     * @return the id
     */
    public long id() {
        return wire.getRef().getSchemaId();
    }

    com.danube_messaging.connector.v1.SchemaRef ref() {
        return wire.getRef();
    }
}
