package com.example;

import static org.junit.jupiter.api.Assertions.assertEquals;

import com.danube_messaging.connector.Position;
import com.danube_messaging.connector.Settings;
import com.danube_messaging.connector.SourceRecord;
import java.nio.charset.StandardCharsets;
import java.util.List;
import org.junit.jupiter.api.Test;

/** The connector without a sidecar: settings and positions are made by hand. */
class NumberSourceTest {
    private static List<String> poll(NumberSource source) {
        return source.poll().orElseThrow().stream()
            .map(SourceRecord::payload)
            .map(payload -> new String(payload, StandardCharsets.UTF_8))
            .toList();
    }

    @Test
    void itGoesOnBehindItsPositionAndThenIsIdle() {
        NumberSource source = new NumberSource();
        source.open(Settings.parse("{\"count\": 9}"));
        source.restore(List.of(new Position("numbers", 7), new Position("others", 1)));

        assertEquals(List.of("number 8", "number 9"), poll(source));
        assertEquals(List.of(), poll(source));
    }

    @Test
    void noMoreThanTenComeAtOnceEachWithItsPlace() {
        NumberSource source = new NumberSource();
        source.open(Settings.parse("{}"));

        List<SourceRecord> records = source.poll().orElseThrow();

        assertEquals(10, records.size());
        assertEquals(new Position("numbers", 1), records.get(0).position().orElseThrow());
        assertEquals("key-1", records.get(0).key().orElseThrow());
    }
}
