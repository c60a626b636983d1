package com.danube_messaging.connector;

import static com.danube_messaging.connector.SinkScript.keyed;
import static com.danube_messaging.connector.SinkScript.record;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.danube_messaging.connector.v1.SinkFailure;
import com.danube_messaging.connector.v1.SinkResults;
import com.danube_messaging.connector.v1.SinkServiceRunRequest;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Queue;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.CountDownLatch;
import org.junit.jupiter.api.Test;

/** What becomes of a sink's records. */
class SinkOutcomesTest extends ConnectorTest {
    private static final Duration PAUSE = Duration.ofMillis(600);

    private final Queue<String> seen = new ConcurrentLinkedQueue<>();

    /** Does what a record says. */
    private final class Obedient implements Sink {
        @Override
        public void process(Record record) throws Exception {
            seen.add(record.text());
            switch (record.text()) {
                case "retry" -> throw new RetryException("LOCKED", "locked", Duration.ofMillis(1500));
                case "busy" -> throw new BusyException("LIMIT", "429 Too Many Requests", PAUSE);
                case "reject" -> throw new RejectException("WRONG", "wrong");
                case "filter" -> throw new FilteredException("OTHERS", "not ours");
                case "error" -> throw new Exception("x".repeat(2000));
                case "fatal" -> throw new FatalException("BROKEN", "broken");
                default -> { }
            }
        }
    }

    @Test
    void recordsThatWereWrittenAreAnsweredAsOneRange() throws Exception {
        start((List<Record> records) -> Outcome.allWritten(records));
        SinkScript session = sidecar.sink().opened();

        session.batch(record(5, "a"), record(6, "b"), record(7, "c"));

        SinkResults results = session.results();
        assertEquals(1, results.getAckedCount());
        assertEquals(5, results.getAcked(0).getFirst());
        assertEquals(7, results.getAcked(0).getLast());
    }

    @Test
    void everyExceptionHasItsOutcome() throws Exception {
        start(new Obedient());
        SinkScript session = sidecar.sink().opened();

        session.batch(
            record(1, "fine"), record(2, "retry"), record(3, "reject"), record(4, "filter"), record(5, "error"), record(6, "fine"));

        assertEquals(
            Map.of(1L, "written", 2L, "RETRY LOCKED", 3L, "REJECT WRONG", 4L, "FILTERED OTHERS", 5L, "RETRY EXCEPTION", 6L, "written"),
            session.answers(6));
        session.expectSilence();
    }

    @Test
    void aFailureTellsWhenToComeBackAndWhatHappened() throws Exception {
        start(new Obedient());
        SinkScript session = sidecar.sink().opened();

        session.batch(record(1, "retry"));
        SinkFailure retried = session.results().getFailures(0);
        session.batch(record(2, "error"));
        SinkFailure failed = session.results().getFailures(0);

        assertEquals(Duration.ofMillis(1500), Frames.duration(retried.getRetryAfter()));
        assertEquals("locked", retried.getMessage());
        assertEquals(1024, failed.getMessage().length());
        assertTrue(!failed.hasRetryAfter());
    }

    @Test
    void anExceptionOfABatchIsTheOutcomeOfAllItsRecords() throws Exception {
        start((List<Record> records) -> {
            throw new IllegalStateException("down");
        });
        SinkScript session = sidecar.sink().opened();

        session.batch(record(1, "a"), record(2, "b"));

        assertEquals(Map.of(1L, "RETRY EXCEPTION", 2L, "RETRY EXCEPTION"), session.answers(2));
    }

    @Test
    void aBatchHasAnOutcomeForEachRecord() throws Exception {
        start((List<Record> records) -> List.of(
            Outcome.written(), Outcome.reject("WRONG", "wrong"), Outcome.filtered("OTHERS", ""), Outcome.retry("LOCKED", "locked")));
        SinkScript session = sidecar.sink().opened();

        session.batch(record(1, "a"), record(2, "b"), record(3, "c"), record(4, "d"));

        assertEquals(
            Map.of(1L, "written", 2L, "REJECT WRONG", 3L, "FILTERED OTHERS", 4L, "RETRY LOCKED"), session.answers(4));
    }

    @Test
    void aMissingOutcomeEndsTheRun() throws Exception {
        Background run = start((List<Record> records) -> List.of(Outcome.written()));
        SinkScript session = sidecar.sink().opened();

        session.batch(record(1, "a"), record(2, "b"));

        assertEquals("OUTCOMES", session.next().getFault().getCode());
        session.expectEnd();
        session.end();
        assertThrows(FatalException.class, run::join);
    }

    @Test
    void aFatalErrorIsToldAndEndsTheRunAfterTheAnswersThatAreKnown() throws Exception {
        Background run = start(new Obedient());
        SinkScript session = sidecar.sink().opened();

        session.batch(record(1, "fine"), record(2, "fatal"), record(3, "fine"));

        assertEquals(Map.of(1L, "written"), session.answers(1));
        SinkServiceRunRequest fault = session.next();
        assertEquals("BROKEN", fault.getFault().getCode());
        assertEquals("broken", fault.getFault().getMessage());
        session.expectEnd();
        session.end();
        FatalException failure = assertThrows(FatalException.class, run::join);
        assertEquals("BROKEN", failure.code());
        assertEquals(List.of("fine", "fatal"), List.copyOf(seen));
    }

    @Test
    void whatFollowsARetriedRecordOfItsKeyIsHeldUntilThatComesAgain() throws Exception {
        start(new Obedient());
        SinkScript session = sidecar.sink().opened();

        session.batch(keyed(1, "k", 1, "retry"), keyed(2, "k", 1, "later"), keyed(3, "other", 1, "fine"), record(4, "keyless"));
        session.batch(keyed(5, "k", 1, "much later"));
        assertEquals(
            Map.of(1L, "RETRY LOCKED", 2L, "RETRY HELD", 3L, "written", 4L, "written", 5L, "RETRY HELD"), session.answers(5));
        session.batch(keyed(6, "k", 2, "again"), keyed(7, "k", 2, "later"), keyed(8, "k", 2, "much later"));

        assertEquals(Map.of(6L, "written", 7L, "written", 8L, "written"), session.answers(3));
        assertEquals(List.of("retry", "fine", "keyless", "again", "later", "much later"), List.copyOf(seen));
    }

    @Test
    void whatFollowsARetriedRecordIsHeldFromLaterBatchesToo() throws Exception {
        start((List<Record> records) -> {
            records.forEach(record -> seen.add(record.text()));
            return records.stream()
                .map(record -> record.text().equals("retry") ? Outcome.retry("LOCKED", "locked") : Outcome.written())
                .toList();
        });
        SinkScript session = sidecar.sink().opened();

        session.batch(keyed(1, "k", 1, "retry"));
        session.batch(keyed(2, "k", 1, "later"), keyed(3, "other", 1, "fine"));
        assertEquals(Map.of(1L, "RETRY LOCKED", 2L, "RETRY HELD", 3L, "written"), session.answers(3));
        session.batch(keyed(4, "k", 2, "again"));

        assertEquals(Map.of(4L, "written"), session.answers(1));
        assertEquals(List.of("retry", "fine", "again"), List.copyOf(seen));
    }

    @Test
    void behindABusyRecordAllInHandIsHandedBackWithoutACallUntilThePauseIsOver() throws Exception {
        start(new Obedient());
        staysAwayUntilThePauseIsOver(sidecar.sink().opened());
    }

    @Test
    void behindABusyBatchAllInHandIsHandedBackWithoutACallUntilThePauseIsOver() throws Exception {
        start((List<Record> records) -> {
            records.forEach(record -> seen.add(record.text()));
            return records.stream()
                .map(record -> record.text().equals("busy") ? Outcome.busy("LIMIT", "busy", PAUSE) : Outcome.written())
                .toList();
        });
        staysAwayUntilThePauseIsOver(sidecar.sink().opened());
    }

    private void staysAwayUntilThePauseIsOver(SinkScript session) throws Exception {
        session.batch(keyed(1, "k", 1, "busy"));
        session.batch(record(2, "b"), keyed(3, "k", 1, "c"));
        List<SinkFailure> failures = new ArrayList<>();
        while (failures.size() < 3) {
            failures.addAll(session.results().getFailuresList());
        }
        assertEquals(PAUSE, Frames.duration(failures.get(0).getRetryAfter()));
        for (SinkFailure failure : failures) {
            Duration after = Frames.duration(failure.getRetryAfter());
            assertEquals("OUTCOME_BUSY LIMIT", failure.getOutcome() + " " + failure.getCode());
            assertTrue(!after.isZero() && after.compareTo(PAUSE) <= 0, failure::toString);
        }
        assertEquals(List.of("busy"), List.copyOf(seen));

        Thread.sleep(PAUSE.toMillis());
        // What was sent before the sidecar heard of it must not overtake what comes again.
        session.batch(keyed(4, "k", 1, "d"), record(5, "e"));
        assertEquals(Map.of(4L, "RETRY HELD", 5L, "written"), session.answers(2));
        session.batch(keyed(6, "k", 2, "a"), keyed(7, "k", 2, "c"));
        assertEquals(Map.of(6L, "written", 7L, "written"), session.answers(2));
    }

    @Test
    void aPauseOutlivesTheSession() throws Exception {
        start((List<Record> records) -> {
            records.forEach(record -> seen.add(record.text()));
            throw new BusyException("LIMIT", "in maintenance", Duration.ofHours(1));
        });
        SinkScript session = sidecar.sink().opened();
        session.batch(record(1, "a"), record(2, "b"));
        assertEquals(Map.of(1L, "BUSY LIMIT", 2L, "BUSY LIMIT"), session.answers(2));
        session.end();

        session = sidecar.sink().opened();
        session.batch(record(1, "a"));
        assertEquals(Map.of(1L, "BUSY LIMIT"), session.answers(1));
        assertEquals(List.of("a", "b"), List.copyOf(seen));
    }

    @Test
    void anAnswerDoesNotWaitForTheSlowRecordBehindIt() throws Exception {
        CountDownLatch release = new CountDownLatch(1);
        start((Record record) -> {
            if (record.text().equals("slow")) {
                release.await();
            }
        });
        SinkScript session = sidecar.sink().opened();

        session.batch(record(1, "fast"), record(2, "slow"));

        assertEquals(Map.of(1L, "written"), session.answers(1));
        release.countDown();
        assertEquals(Map.of(2L, "written"), session.answers(1));
    }

    @Test
    void batchesAreHandedOverOneAtATimeInTheirOrder() throws Exception {
        start((List<Record> records) -> {
            seen.add("begin");
            records.forEach(record -> seen.add(record.text()));
            seen.add("end");
            return Outcome.allWritten(records);
        });
        SinkScript session = sidecar.sink().opened();

        session.batch(record(1, "a"));
        session.batch(record(2, "b"));
        session.answers(2);

        assertEquals(List.of("begin", "a", "end", "begin", "b", "end"), List.copyOf(seen));
    }
}
