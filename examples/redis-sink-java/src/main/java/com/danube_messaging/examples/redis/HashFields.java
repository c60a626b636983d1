package com.danube_messaging.examples.redis;

import com.danube_messaging.connector.FilteredException;
import com.danube_messaging.connector.Record;
import com.danube_messaging.connector.RejectException;
import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import java.util.List;

/**
 * Each record key has a hash, {@code PREFIX:KEY}; a record sets the fields that its JSON object has. Texts are stored as they
 * are, everything else as its JSON. Fields that the record does not have stay as they were.
 *
 * @param prefix the first part of the hashes' names
 */
record HashFields(Target prefix) implements Mapping {
    /** Redis's Lua passes no more than 8000 values to a command. */
    static final int MOST_FIELDS = 3900;

    @Override
    public Write write(Record record) {
        String key = record.key().orElseThrow(() -> new RejectException("NO_KEY", "a record without a key has no hash"));
        JsonObject fields = object(record.json());
        String hash = prefix.of(record) + ":" + key;
        List<byte[]> command = Write.command("HSET", hash);
        fields.entrySet().forEach(field -> Write.append(command, field.getKey(), text(field.getValue())));
        return new Write(hash, record.dedupId(), command);
    }

    private static JsonObject object(JsonElement json) {
        if (!json.isJsonObject()) {
            throw new RejectException("NOT_AN_OBJECT", "the payload is JSON, but not an object");
        }
        JsonObject object = json.getAsJsonObject();
        if (object.isEmpty()) {
            throw new FilteredException("NO_FIELDS", "an empty object changes no field");
        }
        if (object.size() > MOST_FIELDS) {
            throw new RejectException("TOO_MANY_FIELDS", object.size() + " fields are more than " + MOST_FIELDS);
        }
        return object;
    }

    private static String text(JsonElement value) {
        boolean isText = value.isJsonPrimitive() && value.getAsJsonPrimitive().isString();
        return isText ? value.getAsString() : value.toString();
    }
}
