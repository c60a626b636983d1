package com.danube_messaging.connector.conformance;

import com.danube_messaging.connector.Connectors;
import com.danube_messaging.connector.Emitter;
import com.danube_messaging.connector.PollingSource;
import com.danube_messaging.connector.Position;
import com.danube_messaging.connector.Settings;
import com.danube_messaging.connector.Source;
import com.danube_messaging.connector.SourceOptions;
import com.danube_messaging.connector.SourceRecord;
import com.danube_messaging.connector.StreamingSource;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.CountDownLatch;

/** The source that {@code danube-sidecar conformance} runs: it counts. */
public final class SourceMain {
    private static final String TOPIC = "/default/conformance";
    private static final String PARTITION = "numbers";

    private SourceMain() {}

    public static void main(String[] args) {
        SourceOptions options = SourceOptions.builder()
            .connector(Journal.env("CONNECTOR_NAME", "conformance"))
            .topics(TOPIC)
            .build();
        if (Journal.env("CONFORMANCE_MODE", "poll").equals("push")) {
            Connectors.run(new Push(new Journal()), options);
        } else {
            Connectors.run(new Poll(new Journal()), options);
        }
    }

    /** What both modes do. */
    private abstract static class Base implements Source {
        final boolean ends = Journal.env("CONFORMANCE_END", "").equals("1");
        private final Journal journal;
        private long size;
        /** Where all records stand, if not each at a place of its own. */
        private Optional<Long> place = Optional.empty();
        private long last;
        private long next;

        Base(Journal journal) {
            this.journal = journal;
        }

        @Override
        public void open(Settings settings) {
            last = settings.number("conformance", "records").orElse(1000L);
            size = settings.number("conformance", "size").orElse(0L);
            place = settings.number("conformance", "offset");
        }

        @Override
        public void restore(List<Position> positions) throws IOException {
            long restored = positions.stream()
                .filter(position -> position.sourcePartition().equals(PARTITION))
                .mapToLong(Position::offset)
                .findFirst()
                .orElse(0);
            next = restored + 1;
            journal.append("restored " + restored);
        }

        @Override
        public void commit(List<Position> positions) throws IOException {
            for (Position position : positions) {
                journal.append("committed " + position.offset());
            }
        }

        @Override
        public void rejected(SourceRecord record, String code, String message) throws IOException {
            journal.append("rejected " + record.position().orElseThrow().offset() + " " + code);
        }

        @Override
        public void health() {
            journal.checkHealth();
        }

        @Override
        public void close() throws IOException {
            journal.append("closed");
        }

        boolean hasNext() {
            return next <= last;
        }

        SourceRecord next() {
            long number = next++;
            byte[] text = ("record " + number).getBytes(StandardCharsets.UTF_8);
            byte[] payload = Arrays.copyOf(text, (int) Math.max(text.length, size));
            Arrays.fill(payload, text.length, payload.length, (byte) 'x');
            return SourceRecord.builder(TOPIC)
                .payload(payload)
                .key("k" + number % 4)
                .attribute("n", Long.toString(number))
                .position(new Position(PARTITION, place.orElse(number), "m" + number))
                .build();
        }
    }

    /** Is asked. */
    private static final class Poll extends Base implements PollingSource {
        private static final int MOST = 10;

        Poll(Journal journal) {
            super(journal);
        }

        @Override
        public Optional<List<SourceRecord>> poll() {
            if (ends && !hasNext()) {
                return Optional.empty();
            }
            List<SourceRecord> records = new ArrayList<>();
            while (hasNext() && records.size() < MOST) {
                records.add(next());
            }
            return Optional.of(records);
        }
    }

    /** Speaks by itself. */
    private static final class Push extends Base implements StreamingSource {
        Push(Journal journal) {
            super(journal);
        }

        @Override
        public void stream(Emitter emitter) throws InterruptedException {
            while (hasNext()) {
                emitter.emit(next());
            }
            if (!ends) {
                // Until it is interrupted.
                new CountDownLatch(1).await();
            }
        }
    }
}
