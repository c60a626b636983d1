package com.danube_messaging.connector.examples;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import com.danube_messaging.connector.FatalException;
import com.danube_messaging.connector.Outcome;
import com.danube_messaging.connector.Record;
import com.danube_messaging.connector.Settings;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.regex.MatchResult;
import java.util.regex.Pattern;
import org.junit.jupiter.api.Test;

/** The README's code is that of files, and a connector can be tested without a sidecar. */
class ExamplesTest {
    private static final Pattern BLOCK = Pattern.compile("<!-- file: (\\S+) -->\n```java\n(.*?)```\n", Pattern.DOTALL);

    @Test
    void theReadmeShowsTheExamplesAsTheyAre() throws IOException {
        List<MatchResult> blocks = BLOCK.matcher(Files.readString(Path.of("README.md"))).results().toList();

        assertEquals(4, blocks.size());
        for (MatchResult block : blocks) {
            assertEquals(Files.readString(Path.of(block.group(1))), block.group(2), block.group(1));
        }
    }

    private static Record order(String key, String json) {
        return Record.builder("/default/orders").key(key).payload(json).build();
    }

    @Test
    void ordersAreWrittenRejectedAndRetriedInTheOrderOfTheirKeys() {
        OrderSink sink = new OrderSink();
        sink.open(Settings.parse("{\"limit\": 1}"));

        List<Outcome> outcomes = sink.processBatch(List.of(
            order("a", "{\"id\": \"1\", \"amount\": 3}"),
            order("b", "{\"id\": \"2\", \"amount\": 4}"),
            order("b", "{\"id\": \"1\", \"amount\": 5}"),
            order("c", "{\"id\": \"1\"}"),
            order("c", "no json")));

        assertEquals(
            List.of("", "FULL", "BEHIND", "INCOMPLETE", "NOT_JSON"), outcomes.stream().map(Outcome::code).toList());
        assertEquals(3, sink.table.get("1").amount());
    }

    @Test
    void anOrderSinkNeedsItsLimit() {
        assertThrows(FatalException.class, () -> new OrderSink().open(Settings.parse("{}")));
    }
}
