package com.example;

import com.danube_messaging.connector.*;
import com.danube_messaging.connector.Record;
import com.google.gson.JsonObject;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.*;

/** Appends each record to a file, as a line of JSON. */
public class FileSink implements BatchSink {
    private FileChannel file;

    /** Called once, before any record. An exception here ends the connector with its message. */
    @Override
    public void open(Settings settings) throws IOException {
        Path path = Path.of(settings.text("path").orElse("{{name}}.jsonl"));
        file = FileChannel.open(path, StandardOpenOption.CREATE, StandardOpenOption.APPEND);
    }

    /**
     * Returns an outcome for each record. An exception, a full disk say, has all of them offered again later; a BusyException,
     * where the system takes nothing at present (HTTP 429, 503), without an attempt of a record.
     */
    @Override
    public List<Outcome> processBatch(List<Record> records) throws IOException {
        List<Outcome> outcomes = new ArrayList<>();
        StringBuilder lines = new StringBuilder();
        for (Record record : records) {
            try {
                lines.append(line(record)).append('\n');
                outcomes.add(Outcome.written());
            } catch (RejectException e) { // It can never be written, here NOT_UTF8: a dead letter, and the others go on.
                outcomes.add(Outcome.of(e));
            }
        }
        ByteBuffer bytes = StandardCharsets.UTF_8.encode(lines.toString());
        while (bytes.hasRemaining()) {
            file.write(bytes);
        }
        file.force(false); // What is answered as written does not come again: it has to be on disk by then.
        return outcomes;
    }

    // After a crash a record may come again, with the same dedup_id. Where that matters, make it the key of what you write.
    private static JsonObject line(Record record) {
        JsonObject line = new JsonObject();
        line.addProperty("dedup_id", record.dedupId());
        line.addProperty("topic", record.topic());
        line.addProperty("key", record.key().orElse(null));
        line.addProperty("payload", record.text());
        return line;
    }

    public static void main(String[] args) {
        String name = System.getenv().getOrDefault("CONNECTOR_NAME", "{{name}}");
        Connectors.run(new FileSink(), SinkOptions.builder().connector(name).topics("/default/{{name}}").build());
    }
}
