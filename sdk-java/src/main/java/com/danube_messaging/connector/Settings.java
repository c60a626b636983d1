package com.danube_messaging.connector;

import com.google.gson.Gson;
import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import com.google.gson.JsonParser;
import com.google.gson.JsonSyntaxException;
import java.util.Optional;

/**
 * The connector's own settings, as the operator's file at the sidecar has them under {@code [connectors.NAME.settings]}.
 * Empty where it has none. They may hold secrets: do not log them.
 */
public final class Settings {
    private final JsonObject json;

    private Settings(JsonObject json) {
        this.json = json;
    }

    /**
     * Reads settings: what the sidecar does, and a connector's own tests.
     *
     * @param json a JSON object; empty text means an empty one
     * @return the settings
     * @throws IllegalArgumentException if it is something else
     */
    public static Settings parse(String json) {
        try {
            JsonElement parsed = json.isEmpty() ? new JsonObject() : JsonParser.parseString(json);
            return new Settings(parsed.getAsJsonObject());
        } catch (JsonSyntaxException | IllegalStateException e) {
            // The parser's message quotes what it read, and that may be a secret.
            throw new IllegalArgumentException("the settings are not a JSON object");
        }
    }

    /**
     * All of them.
     *
     * @return a copy
     */
    public JsonObject json() {
        return json.deepCopy();
    }

    /**
     * All of them as an object of the connector's own.
     *
     * @param type a class or record whose fields have the settings' names
     * @param <T> that type
     * @return a new object; fields without a setting have Java's defaults
     * @throws com.google.gson.JsonParseException if a setting does not fit its field
     */
    public <T> T as(Class<T> type) {
        return new Gson().fromJson(json, type);
    }

    /**
     * One of them.
     *
     * @param path its name, behind those of the tables around it: {@code get("conformance", "word")}
     * @return empty where there is none
     */
    public Optional<JsonElement> get(String... path) {
        JsonElement at = json;
        for (String name : path) {
            at = at != null && at.isJsonObject() ? at.getAsJsonObject().get(name) : null;
        }
        return Optional.ofNullable(at).map(JsonElement::deepCopy);
    }

    /**
     * A text among them.
     *
     * @param path its name, behind those of the tables around it
     * @return empty where there is none
     * @throws IllegalArgumentException if it is something else
     */
    public Optional<String> text(String... path) {
        return get(path).map(value -> {
            if (!value.isJsonPrimitive() || !value.getAsJsonPrimitive().isString()) {
                throw unexpected("a text", path);
            }
            return value.getAsString();
        });
    }

    /**
     * A whole number among them.
     *
     * @param path its name, behind those of the tables around it
     * @return empty where there is none
     * @throws IllegalArgumentException if it is something else
     */
    public Optional<Long> number(String... path) {
        return get(path).map(value -> {
            try {
                return value.getAsBigDecimal().longValueExact();
            } catch (ArithmeticException | IllegalStateException | NumberFormatException | UnsupportedOperationException e) {
                throw unexpected("a whole number", path);
            }
        });
    }

    private static IllegalArgumentException unexpected(String expected, String... path) {
        return new IllegalArgumentException("the setting " + String.join(".", path) + " is not " + expected);
    }
}
