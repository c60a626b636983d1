package com.danube_messaging.connector;

import java.lang.System.Logger.Level;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/**
 * What a source has to be told of its records, in order, on the connector's thread; and then those who wait for them. The outbox
 * takes no more while too many wait here.
 */
final class Notices {
    private final Run run;
    private final Source source;
    private final Outbox outbox;
    private List<Notice> waiting = new ArrayList<>();
    /** The call that tells, or null. */
    private ConnectorThread.Call<Integer> telling;

    /** One thing to tell. */
    private interface Notice {
        /** Tells the source. */
        void tell(Source source) throws Exception;

        /** Tells who waits for the records. */
        void complete();

        /** How many records are committed with it. */
        int committed();
    }

    Notices(Run run, Source source, Outbox outbox) {
        this.run = run;
        this.source = source;
        this.outbox = outbox;
    }

    /** These are safe. */
    void committed(List<OutboxEntry> entries) {
        if (!entries.isEmpty()) {
            waiting.add(new Committed(entries));
        }
    }

    /** This one can never be published. */
    void rejected(OutboxEntry entry, String code, String message) {
        if (entry.reject()) {
            waiting.add(new Rejected(entry, code, message));
        }
    }

    /**
     * Tells what there is to tell, if the connector is free.
     *
     * @throws FatalException if the connector cannot go on
     */
    void turn() {
        if (telling != null && telling.isDone()) {
            var done = telling;
            telling = null;
            try {
                outbox.told(done.result());
            } catch (Exception e) {
                throw Run.fatal(Outcome.EXCEPTION, e);
            }
        }
        if (!waiting.isEmpty() && !run.thread().isBusy()) {
            List<Notice> notices = waiting;
            waiting = new ArrayList<>();
            telling = run.thread().call(() -> tell(notices));
        }
    }

    /** Whether nothing is left to tell. */
    boolean isIdle() {
        return telling == null && waiting.isEmpty();
    }

    /** Those who wait for their records hear what is known of them, even where the source does not any more. */
    void end() {
        waiting.forEach(Notice::complete);
        waiting.clear();
    }

    private int tell(List<Notice> notices) {
        try {
            notices.forEach(this::tell);
        } finally {
            notices.forEach(Notice::complete);
        }
        return notices.stream().mapToInt(Notice::committed).sum();
    }

    private void tell(Notice notice) {
        try {
            notice.tell(source);
        } catch (FatalException fatal) {
            throw fatal;
        } catch (Exception e) {
            Run.LOG.log(Level.WARNING, "a hook of the source failed; what it was told is so all the same", e);
        }
    }

    private record Committed(List<OutboxEntry> entries) implements Notice {
        @Override
        public void tell(Source source) throws Exception {
            List<Position> positions = entries.stream().map(OutboxEntry::position).flatMap(Optional::stream).toList();
            if (!positions.isEmpty()) {
                source.commit(positions);
            }
        }

        @Override
        public void complete() {
            entries.forEach(entry -> entry.committed().complete(null));
        }

        @Override
        public int committed() {
            return entries.size();
        }
    }

    private record Rejected(OutboxEntry entry, String code, String message) implements Notice {
        @Override
        public void tell(Source source) throws Exception {
            source.rejected(entry.record(), code, message);
        }

        @Override
        public void complete() {
            entry.committed().completeExceptionally(new RecordRejectedException(code, message));
        }

        @Override
        public int committed() {
            return 0;
        }
    }
}
