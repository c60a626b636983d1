package com.danube_messaging.examples.redis;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import com.danube_messaging.connector.ConnectorException;
import com.danube_messaging.connector.FilteredException;
import com.danube_messaging.connector.Record;
import com.danube_messaging.connector.RejectException;
import java.nio.charset.StandardCharsets;
import java.time.Instant;
import java.util.List;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Which commands records become. */
class MappingTest {
    private static Record.Builder order() {
        return Record.builder("/default/orders").dedupId("d1").key("k").publishTime(Instant.ofEpochMilli(5)).payload("hi");
    }

    private static String words(Write write) {
        return write.command().stream().map(word -> new String(word, StandardCharsets.UTF_8)).collect(Collectors.joining(" "));
    }

    private static HashFields hash() {
        return new HashFields(Target.parse("order"));
    }

    @Test
    void aStreamEntryHasAllOfTheRecord() {
        Write write = new StreamEntries(Target.parse("orders"), 0).write(order().attribute("region", "eu").build());

        assertEquals(
            "XADD orders * dedup_id d1 topic /default/orders key k publish_time_ms 5 attribute:region eu payload hi",
            words(write));
        assertEquals("danube:seen:orders:d1", write.marker());
    }

    @Test
    void aStreamIsTrimmedToAboutItsLength() {
        Write write = new StreamEntries(Target.parse("s"), 100).write(Record.builder("/t").build());

        assertEquals("XADD s MAXLEN ~ 100 * dedup_id  topic /t publish_time_ms 0 payload ", words(write));
    }

    @Test
    void aPayloadOfAStreamMayBeAnyBytes() {
        byte[] payload = {(byte) 0xff, 0};

        List<byte[]> command = new StreamEntries(Target.parse("s"), 0).write(order().payload(payload).build()).command();

        assertArrayEquals(payload, command.get(command.size() - 1));
    }

    @Test
    void aHashHasTheFieldsOfTheObject() {
        String json = "{\"name\": \"a b\", \"n\": 1.50, \"ok\": true, \"none\": null, \"in\": {\"x\": [1]}}";

        Write write = hash().write(order().payload(json).build());

        assertEquals("HSET order:k name a b n 1.50 ok true none null in {\"x\":[1]}", words(write));
        assertEquals("danube:seen:order:k:d1", write.marker());
    }

    @Test
    void whatIsNoObjectIsRejectedWithACode() {
        assertEquals("NOT_AN_OBJECT", refused(order().payload("[1]").build()).code());
        assertEquals("NOT_JSON", refused(order().payload("{").build()).code());
        assertEquals("NOT_UTF8", refused(order().payload(new byte[] {(byte) 0xff}).build()).code());
        assertEquals("NO_KEY", refused(Record.builder("/t").payload("{\"n\": 1}").build()).code());
        assertEquals("TOO_MANY_FIELDS", refused(order().payload(object(HashFields.MOST_FIELDS + 1)).build()).code());
    }

    private static String object(int fields) {
        return IntStream.range(0, fields).mapToObj(n -> "\"f" + n + "\": 0").collect(Collectors.joining(",", "{", "}"));
    }

    private static ConnectorException refused(Record record) {
        return assertThrows(RejectException.class, () -> hash().write(record));
    }

    @Test
    void anEmptyObjectChangesNothing() {
        assertThrows(FilteredException.class, () -> hash().write(order().payload("{}").build()));
    }

    @Test
    void placeholdersStandForWhatTheRecordHas() {
        Target target = Target.parse("{topic}:{attribute:region}");

        assertEquals("/default/orders:$1", target.of(order().attribute("region", "$1").build()));
        RejectException missing = assertThrows(RejectException.class, () -> target.of(order().build()));
        assertEquals("NO_ATTRIBUTE", missing.code());
    }

    @ParameterizedTest
    @ValueSource(strings = {"", "{key}", "{topic", "{attribute:}", "a}"})
    void otherPlaceholdersAreRefused(String target) {
        assertThrows(IllegalArgumentException.class, () -> Target.parse(target));
    }
}
