package com.example;

import static org.junit.jupiter.api.Assertions.assertEquals;

import com.danube_messaging.connector.Outcome;
import com.danube_messaging.connector.Record;
import com.danube_messaging.connector.Settings;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The connector without a sidecar: records and settings are made by hand. */
class FileSinkTest {
    @TempDir
    private Path folder;

    private static Record.Builder record(String dedupId) {
        return Record.builder("/default/{{name}}").dedupId(dedupId);
    }

    @Test
    void eachRecordIsALineAndWhatIsNoTextIsRejected() throws Exception {
        Path path = folder.resolve("out.jsonl");
        FileSink sink = new FileSink();
        sink.open(Settings.parse("{\"path\": \"" + path + "\"}"));

        List<Outcome> outcomes = sink.processBatch(List.of(
            record("1").key("k").payload("\"hello\"").build(),
            record("2").payload(new byte[] {(byte) 0xff}).build(),
            record("3").payload("").build()));

        assertEquals(List.of("", "NOT_UTF8", ""), outcomes.stream().map(Outcome::code).toList());
        assertEquals(
            List.of(
                "{\"dedup_id\":\"1\",\"topic\":\"/default/{{name}}\",\"key\":\"k\",\"payload\":\"\\\"hello\\\"\"}",
                "{\"dedup_id\":\"3\",\"topic\":\"/default/{{name}}\",\"key\":null,\"payload\":\"\"}"),
            Files.readAllLines(path));
    }
}
