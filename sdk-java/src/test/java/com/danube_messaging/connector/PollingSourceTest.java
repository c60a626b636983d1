package com.danube_messaging.connector;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.danube_messaging.connector.v1.SourceRecords;
import com.danube_messaging.connector.v1.SourceServiceRunRequest;
import io.grpc.Status;
import java.time.Duration;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.stream.LongStream;
import org.junit.jupiter.api.Test;

/** How a source that is polled is read, sent, committed and ended. */
class PollingSourceTest extends ConnectorTest {
    @Test
    void openNamesTheProducers() throws Exception {
        start(Connectors.runner(Numbers.without(1), sourceOptions().producers(Producer.of("/default/t").withPartitions(3)).build()));

        var open = sidecar.source().open();

        assertEquals("under-test", open.getConnector());
        assertEquals("/default/t", open.getProducers(0).getTopic());
        assertEquals(3, open.getProducers(0).getPartitions());
        assertTrue(!open.getProducers(0).hasReliable());
    }

    @Test
    void noMoreIsSentThanDemandedAndNothingIsPolledWhileRecordsWait() throws Exception {
        Numbers source = Numbers.without(5);
        start(source);
        SourceScript session = sidecar.source().opened();
        session.expectSilence();
        assertEquals(0, source.polls.get());

        session.demand(2);
        assertEquals(List.of("n1", "n2"), session.records(2));
        session.expectSilence();
        assertEquals(1, source.polls.get());
        session.demand(6);

        assertEquals(List.of("n3", "n4", "n5", "n6"), session.records(4));
        session.expectSilence();
        assertEquals(2, source.polls.get());
    }

    @Test
    void theRecordThatReachesTheBytesMayExceedThem() throws Exception {
        start(Numbers.without(5));
        SourceScript session = sidecar.source().opened();
        int size = Numbers.record(1).wire().getSerializedSize();

        session.demand(100, size + 1);

        assertEquals(List.of("n1", "n2"), session.records(2));
        session.expectSilence();
    }

    @Test
    void whatIsNotCommittedIsSentAgainNumberedFromOne() throws Exception {
        Numbers source = Numbers.without(3);
        start(source);
        SourceScript first = sidecar.source().opened();
        first.demand(3);
        first.records(3);
        first.commit(1);
        Eventually.holds(() -> source.life.contains("committed 1"), "the commit");
        first.fail(Status.UNAVAILABLE);

        SourceScript second = sidecar.source().opened(new Position("numbers", 1));
        second.demand(3);

        assertEquals(List.of("n2", "n3", "n4"), second.records(3));
        second.commit(3);
        Eventually.holds(() -> source.life.contains("committed 4"), "the last commit");
    }

    @Test
    void whatTheNextSessionShowsToBeCommittedIsNotSentAgain() throws Exception {
        Numbers source = Numbers.without(3);
        start(source);
        SourceScript first = sidecar.source().opened();
        first.demand(3);
        first.records(3);
        first.fail(Status.UNAVAILABLE);

        SourceScript second = sidecar.source().opened(new Position("numbers", 2), new Position("others", 3));
        second.demand(1);

        assertEquals(List.of("n3"), second.records(1));
        Eventually.holds(() -> source.life.contains("committed 2"), "the commits");
        assertEquals(List.of("restore []", "committed 1", "committed 2"), List.copyOf(source.life));
    }

    @Test
    void positionsThatComeInPagesAreRestoredTogether() throws Exception {
        Numbers source = Numbers.without(2);
        start(source);

        sidecar.source().openedInPages(new Position("numbers", 40), new Position("b", 2), new Position("c", 3));

        Eventually.holds(() -> source.life.contains("restore [40, 2, 3]"), "all positions");
    }

    @Test
    void restoreIsCalledOnceAndBeforeTheFirstPoll() throws Exception {
        Numbers source = Numbers.without(2);
        start(source);
        SourceScript first = sidecar.source().opened(new Position("numbers", 40));
        first.demand(2);
        assertEquals(List.of("n41", "n42"), first.records(2));
        first.end();

        sidecar.source().opened(new Position("numbers", 40)).demand(2);

        assertEquals(List.of("restore [40]"), List.copyOf(source.life));
    }

    @Test
    void commitsComeInOrderAndNeverDuringAPoll() throws Exception {
        Numbers source = Numbers.without(1);
        start(source);
        SourceScript session = sidecar.source().opened();
        session.demand(1000);
        for (int number = 1; number <= 1000; number++) {
            session.records(1);
            session.commit(number);
        }
        Eventually.holds(() -> source.life.contains("committed 1000"), "the last commit");

        List<String> expected = LongStream.rangeClosed(1, 1000).mapToObj(n -> "committed " + n).toList();
        assertEquals(expected, source.life.stream().skip(1).toList());
        assertTrue(!source.overlapped.get());
    }

    @Test
    void aRejectedRecordIsToldAndThenCommitted() throws Exception {
        Numbers source = Numbers.without(3);
        start(source);
        SourceScript session = sidecar.source().opened();
        session.demand(3);
        session.records(3);

        session.reject(2, "TOO_LARGE");
        session.commit(3);
        Eventually.holds(() -> source.life.contains("committed 3"), "the last commit");

        assertEquals(
            List.of("restore []", "rejected 2 TOO_LARGE", "committed 1", "committed 2", "committed 3"), List.copyOf(source.life));
    }

    @Test
    void aRecordThatIsRejectedInTwoSessionsIsToldOnce() throws Exception {
        Numbers source = Numbers.without(2);
        start(source);
        SourceScript first = sidecar.source().opened();
        first.demand(2);
        first.records(2);
        first.reject(2, "TOO_LARGE");
        first.expectSilence();
        first.fail(Status.UNAVAILABLE);
        SourceScript second = sidecar.source().opened();
        second.demand(2);
        second.records(2);

        second.reject(2, "TOO_LARGE");
        second.commit(2);
        Eventually.holds(() -> source.life.contains("committed 2"), "the last commit");

        assertEquals(
            List.of("restore []", "rejected 2 TOO_LARGE", "committed 1", "committed 2"), List.copyOf(source.life));
    }

    @Test
    void afterAnEmptyPollTheNextOneComesByItself() throws Exception {
        AtomicInteger polls = new AtomicInteger();
        PollingSource source = () -> Optional.of(polls.incrementAndGet() < 3 ? List.of() : List.of(Numbers.record(1)));
        start(Connectors.runner(source, sourceOptions().pollInterval(Duration.ofMillis(1)).build()));
        SourceScript session = sidecar.source().opened();

        session.demand(1);

        assertEquals(List.of("n1"), session.records(1));
        assertEquals(3, polls.get());
    }

    @Test
    void aPollThatFailsIsCalledAgain() throws Exception {
        AtomicInteger polls = new AtomicInteger();
        start((PollingSource) () -> {
            if (polls.incrementAndGet() < 3) {
                throw new IllegalStateException("away");
            }
            return Optional.of(List.of(Numbers.record(1)));
        });
        SourceScript session = sidecar.source().opened();

        session.demand(1);

        assertEquals(List.of("n1"), session.records(1));
    }

    @Test
    void aFatalPollIsToldAndEndsTheRun() throws Exception {
        Background run = start((PollingSource) () -> {
            throw new FatalException("BROKEN", "broken");
        });
        SourceScript session = sidecar.source().opened();
        session.demand(1);

        assertEquals("BROKEN", session.next().getFault().getCode());
        session.end();
        assertThrows(FatalException.class, run::join);
    }

    @Test
    void aSourceThatEndsSendsAllAndReturnsWhenItIsCommitted() throws Throwable {
        Numbers source = new Numbers(2, 3, true);
        Background run = start(source);
        SourceScript session = sidecar.source().opened();
        session.demand(10);
        assertEquals(List.of("n1", "n2", "n3"), session.records(3));
        session.expectDrained();
        session.expectSilence();
        assertTrue(!run.hasEnded());

        session.commit(3);
        session.expectEnd();
        session.end();
        run.join();

        assertEquals(List.of("restore []", "committed 1", "committed 2", "committed 3", "close"), List.copyOf(source.life));
    }

    @Test
    void aSourceThatEndsOutlastsALostSession() throws Throwable {
        Background run = start(new Numbers(2, 2, true));
        SourceScript first = sidecar.source().opened();
        first.demand(10);
        first.records(2);
        first.expectDrained();
        first.fail(Status.UNAVAILABLE);

        SourceScript second = sidecar.source().opened();
        second.demand(10);
        assertEquals(List.of("n1", "n2"), second.records(2));
        second.expectDrained();
        second.commit(2);
        second.end();

        run.join();
    }

    @Test
    void aStopWaitsUntilWhatWasSentIsCommitted() throws Throwable {
        Numbers source = Numbers.without(2);
        Background run = start(source);
        SourceScript session = sidecar.source().opened();
        session.demand(2);
        session.records(2);

        run.stop();
        session.expectDrained();
        session.commit(2);
        session.expectEnd();
        session.end();
        run.join();

        assertEquals(List.of("restore []", "committed 1", "committed 2", "close"), List.copyOf(source.life));
    }

    @Test
    void aStopWaitsNoLongerThanItIsTold() throws Throwable {
        Background run = start(Connectors.runner(Numbers.without(2), sourceOptions().drainTimeout(Duration.ofMillis(50)).build()));
        SourceScript session = sidecar.source().opened();
        session.demand(2);
        session.records(2);

        run.stop();
        session.expectDrained();
        session.expectEnd();
        session.end();

        run.join();
    }

    @Test
    void aDrainSendsNothingNewAndAnotherSessionFollows() throws Exception {
        start(Numbers.without(4));
        SourceScript session = sidecar.source().opened();
        session.demand(2);
        session.records(2);

        session.drain();
        session.expectDrained();
        session.demand(10);
        session.expectSilence();
        session.commit(2);
        session.end();
        SourceScript next = sidecar.source().opened();
        next.demand(2);

        assertEquals(List.of("n3", "n4"), next.records(2));
    }

    @Test
    void aRecordThatFitsNoFrameEndsTheRun() throws Exception {
        SourceRecord large = SourceRecord.builder("/default/t").payload(new byte[2000]).build();
        Background run = start((PollingSource) () -> Optional.of(List.of(Numbers.record(1), large)));
        SourceScript session = sidecar.source().opened(1000);
        session.demand(10);

        assertEquals(List.of("n1"), session.records(1));
        assertEquals("RECORD_TOO_LARGE", session.next().getFault().getCode());
        session.end();
        FatalException failure = assertThrows(FatalException.class, run::join);
        assertTrue(failure.getMessage().contains("/default/t") && failure.getMessage().contains("1000"), failure.getMessage());
    }

    @Test
    void framesAreClosedAtAboutAMebibyte() throws Exception {
        SourceRecord half = SourceRecord.builder().payload(new byte[500_000]).build();
        start((PollingSource) () -> Optional.of(List.of(half, half, half)));
        SourceScript session = sidecar.source().opened();
        session.demand(3);

        SourceRecords first = session.frame();
        SourceRecords second = session.frame();

        assertEquals(2, first.getRecordsCount());
        assertEquals(1, second.getRecordsCount());
        assertTrue(SourceServiceRunRequest.newBuilder().setRecords(first).build().getSerializedSize() <= 1 << 20);
    }

    @Test
    void aCommitOfWhatWasNotSentBreaksTheSession() throws Exception {
        start(Numbers.without(1));
        SourceScript session = sidecar.source().opened();
        session.demand(1);
        session.records(1);

        session.commit(2);

        SourceScript next = sidecar.source().opened();
        next.demand(1);
        assertEquals(List.of("n1"), next.records(1));
    }
}
