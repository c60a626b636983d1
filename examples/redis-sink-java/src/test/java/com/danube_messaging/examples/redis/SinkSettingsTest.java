package com.danube_messaging.examples.redis;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.danube_messaging.connector.Settings;
import java.time.Duration;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** What the operator may write. */
class SinkSettingsTest {
    private static final Map<String, String> ENVIRONMENT =
        Map.of("REDIS_URL", "redis://127.0.0.1:6379", "OTHER", "rediss://user:secret@redis:1/2", "WRONG", "http://secret");

    private static SinkSettings parse(String json) {
        return SinkSettings.parse(Settings.parse(json), ENVIRONMENT);
    }

    @Test
    void everythingHasADefault() {
        SinkSettings settings = parse("{}");

        assertInstanceOf(StreamEntries.class, settings.mapping());
        assertEquals("redis://127.0.0.1:6379", settings.url().toString());
        assertEquals(Duration.ofDays(1), settings.dedupTtl());
    }

    @Test
    void everythingCanBeSet() {
        SinkSettings settings = parse("{\"mode\": \"hash\", \"target\": \"t\", \"url_env\": \"OTHER\", \"dedup_ttl_s\": 60}");

        assertInstanceOf(HashFields.class, settings.mapping());
        assertEquals("redis", settings.url().getHost());
        assertEquals(Duration.ofMinutes(1), settings.dedupTtl());
    }

    @Test
    void aSettingThatDoesNotExistChangesNothing() {
        assertEquals(parse("{}").dedupTtl(), parse("{\"dedup_ttl\": 5}").dedupTtl());
    }

    @ParameterizedTest
    @CsvSource(delimiter = '|', quoteCharacter = '~', value = {
        "{\"mode\": \"list\"}|mode",
        "{\"mode\": \"hash\", \"max_len\": 5}|max_len",
        "{\"max_len\": -1}|max_len",
        "{\"dedup_ttl_s\": 0}|dedup_ttl_s",
        "{\"target\": \"{key}\"}|target",
        "{\"url_env\": \"NONE\"}|NONE",
        "{\"url_env\": \"WRONG\"}|WRONG",
    })
    void whatIsWrongIsNamedWithoutSecrets(String json, String name) {
        String message = assertThrows(IllegalArgumentException.class, () -> parse(json)).getMessage();

        assertTrue(message.contains(name) && !message.contains("secret"), message);
    }
}
