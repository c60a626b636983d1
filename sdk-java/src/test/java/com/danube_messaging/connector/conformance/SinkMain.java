package com.danube_messaging.connector.conformance;

import com.danube_messaging.connector.BatchSink;
import com.danube_messaging.connector.BusyException;
import com.danube_messaging.connector.Connector;
import com.danube_messaging.connector.Connectors;
import com.danube_messaging.connector.FatalException;
import com.danube_messaging.connector.FilteredException;
import com.danube_messaging.connector.Outcome;
import com.danube_messaging.connector.Record;
import com.danube_messaging.connector.RejectException;
import com.danube_messaging.connector.RetryException;
import com.danube_messaging.connector.Schema;
import com.danube_messaging.connector.Settings;
import com.danube_messaging.connector.Sink;
import com.danube_messaging.connector.SinkOptions;
import java.io.IOException;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;

/** The sink that {@code danube-sidecar conformance} runs: each record says what is to become of it. */
public final class SinkMain {
    private static final String CODE = "TOLD_TO";

    private SinkMain() {}

    public static void main(String[] args) {
        SinkOptions options = SinkOptions.builder()
            .connector(Journal.env("CONNECTOR_NAME", "conformance"))
            .topics("/default/conformance")
            .build();
        if (Journal.env("CONFORMANCE_MODE", "batch").equals("single")) {
            Connectors.run(new Single(new Journal()), options);
        } else {
            Connectors.run(new Batch(new Journal()), options);
        }
    }

    /** What both modes do. */
    private abstract static class Base implements Connector {
        final Journal journal;

        Base(Journal journal) {
            this.journal = journal;
        }

        @Override
        public void open(Settings settings) throws IOException {
            journal.append("opened " + settings.text("conformance", "word").orElse("-"));
        }

        @Override
        public void health() {
            journal.checkHealth();
        }

        @Override
        public void close() throws IOException {
            journal.append("closed");
        }

        void written(Record record) throws IOException {
            String subject = record.schema().map(Schema::subject).orElse("-");
            journal.append("written " + record.dedupId() + " " + record.attempt() + " " + subject);
        }
    }

    /** Answers with exceptions. */
    private static final class Single extends Base implements Sink {
        Single(Journal journal) {
            super(journal);
        }

        @Override
        public void process(Record record) throws IOException, InterruptedException {
            String[] words = record.text().split(" ");
            boolean isFirst = record.attempt() == 1;
            switch (words[0]) {
                case "reject" -> throw new RejectException(CODE, "told to reject");
                case "filter" -> throw new FilteredException(CODE, "told to filter");
                case "fatal" -> throw new FatalException(CODE, "told to be fatal");
                case "retry" -> throwIf(isFirst, new RetryException(CODE, "told to retry"));
                case "retry-after" -> throwIf(isFirst, new RetryException(CODE, "told to retry", millis(words)));
                case "busy" -> throwIf(isFirst, new BusyException(CODE, "told to be busy", millis(words)));
                case "error" -> throwIf(isFirst, new IllegalStateException("told to throw"));
                case "slow" -> Thread.sleep(millis(words).toMillis());
                default -> { }
            }
            written(record);
        }

        private static void throwIf(boolean condition, RuntimeException exception) {
            if (condition) {
                throw exception;
            }
        }
    }

    /** Answers with outcomes. */
    private static final class Batch extends Base implements BatchSink {
        Batch(Journal journal) {
            super(journal);
        }

        @Override
        public List<Outcome> processBatch(List<Record> records) throws IOException, InterruptedException {
            // First what ends the whole batch: so nothing of it is written twice.
            for (Record record : records) {
                String word = record.text().split(" ")[0];
                if (word.equals("fatal")) {
                    throw new FatalException(CODE, "told to be fatal");
                }
                if (word.equals("error") && record.attempt() == 1) {
                    throw new IllegalStateException("told to throw");
                }
            }
            List<Outcome> outcomes = new ArrayList<>();
            for (Record record : records) {
                Outcome outcome = outcome(record);
                if (outcome.kind() == Outcome.Kind.WRITTEN) {
                    written(record);
                }
                outcomes.add(outcome);
            }
            return outcomes;
        }

        private static Outcome outcome(Record record) throws InterruptedException {
            String[] words = record.text().split(" ");
            boolean isFirst = record.attempt() == 1;
            switch (words[0]) {
                case "reject":
                    return Outcome.reject(CODE, "told to reject");
                case "filter":
                    return Outcome.filtered(CODE, "told to filter");
                case "retry":
                    return isFirst ? Outcome.retry(CODE, "told to retry") : Outcome.written();
                case "retry-after":
                    return isFirst ? Outcome.retry(CODE, "told to retry", millis(words)) : Outcome.written();
                case "busy":
                    return isFirst ? Outcome.busy(CODE, "told to be busy", millis(words)) : Outcome.written();
                case "slow":
                    Thread.sleep(millis(words).toMillis());
                    return Outcome.written();
                default:
                    return Outcome.written();
            }
        }
    }

    private static Duration millis(String[] words) {
        return Duration.ofMillis(Long.parseLong(words[1]));
    }
}
