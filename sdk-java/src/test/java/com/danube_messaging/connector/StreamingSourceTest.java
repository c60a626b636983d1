package com.danube_messaging.connector;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.grpc.Status;
import java.time.Duration;
import java.util.List;
import java.util.Optional;
import java.util.Queue;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;

/** How a source that pushes is heard, held back and ended. */
class StreamingSourceTest extends ConnectorTest {
    private final BlockingQueue<Emitter> emitters = new LinkedBlockingQueue<>();
    private final Queue<String> life = new ConcurrentLinkedQueue<>();

    /** Hands its emitter to the test, and goes on until it is interrupted. */
    private final class Handed implements StreamingSource {
        @Override
        public void stream(Emitter emitter) throws InterruptedException {
            emitters.add(emitter);
            new CountDownLatch(1).await();
        }

        @Override
        public void commit(List<Position> positions) {
            positions.forEach(position -> life.add("committed " + position.offset()));
        }

        @Override
        public void close() {
            life.add("close");
        }
    }

    private Emitter emitter() throws InterruptedException {
        return Eventually.next(emitters, "the stream");
    }

    private static Throwable failure(CompletableFuture<Void> future) {
        return assertThrows(ExecutionException.class, () -> future.get(20, TimeUnit.SECONDS)).getCause();
    }

    @Test
    void anEmittedRecordIsDoneWhenItIsCommitted() throws Exception {
        start(new Handed());
        SourceScript session = sidecar.source().opened();
        session.demand(10);
        Emitter emitter = emitter();

        CompletableFuture<Void> first = emitter.emit(Numbers.record(1));
        CompletableFuture<Void> second = emitter.emit(Numbers.record(2));
        session.records(2);
        session.commit(1);
        first.get(20, TimeUnit.SECONDS);

        assertTrue(!second.isDone());
        assertEquals(List.of("committed 1"), List.copyOf(life));
    }

    @Test
    void emitWaitsForDemandAndTryEmitDoesNot() throws Exception {
        start(new Handed());
        SourceScript session = sidecar.source().opened();
        Emitter emitter = emitter();
        assertEquals(Optional.empty(), emitter.tryEmit(Numbers.record(0)));
        session.demand(1);
        Eventually.holds(() -> emitter.tryEmit(Numbers.record(1)).isPresent(), "room");
        assertEquals(Optional.empty(), emitter.tryEmit(Numbers.record(0)));
        CompletableFuture<Void> emitted = CompletableFuture.runAsync(() -> emit(emitter, 2));
        session.records(1);
        session.expectSilence();

        session.demand(2);

        assertEquals(List.of("n2"), session.records(1));
        emitted.get(20, TimeUnit.SECONDS);
    }

    private static void emit(Emitter emitter, long number) {
        try {
            emitter.emit(Numbers.record(number));
        } catch (InterruptedException e) {
            throw new IllegalStateException(e);
        }
    }

    @Test
    void aRejectedRecordFailsWhereItWasEmitted() throws Exception {
        start(new Handed());
        SourceScript session = sidecar.source().opened();
        session.demand(1);
        CompletableFuture<Void> emitted = emitter().emit(Numbers.record(1));
        session.records(1);

        session.reject(1, "UNDECLARED_TOPIC");

        RecordRejectedException failure = assertInstanceOf(RecordRejectedException.class, failure(emitted));
        assertEquals("UNDECLARED_TOPIC", failure.code());
    }

    @Test
    void aRecordThatFitsNoFrameFailsWhereItIsEmitted() throws Exception {
        start(new Handed());
        SourceScript session = sidecar.source().opened(1000);
        session.demand(1);
        Emitter emitter = emitter();
        SourceRecord large = SourceRecord.builder().payload(new byte[2000]).build();

        assertThrows(RecordTooLargeException.class, () -> emitter.emit(large));
        emitter.emit(Numbers.record(1));

        assertEquals(List.of("n1"), session.records(1));
    }

    @Test
    void whatWasEmittedOutlastsALostSession() throws Exception {
        start(new Handed());
        SourceScript first = sidecar.source().opened();
        first.demand(2);
        Emitter emitter = emitter();
        CompletableFuture<Void> one = emitter.emit(Numbers.record(1));
        CompletableFuture<Void> two = emitter.emit(Numbers.record(2));
        first.records(2);
        first.fail(Status.UNAVAILABLE);

        SourceScript second = sidecar.source().opened(new Position("numbers", 1));
        one.get(20, TimeUnit.SECONDS);
        second.demand(2);
        assertEquals(List.of("n2"), second.records(1));
        second.commit(1);

        two.get(20, TimeUnit.SECONDS);
    }

    @Test
    void aStopInterruptsTheStreamSendsWhatWaitsAndRefusesMore() throws Throwable {
        Background run = start(new Handed());
        SourceScript session = sidecar.source().opened();
        session.demand(1);
        Emitter emitter = emitter();
        CompletableFuture<Void> emitted = emitter.emit(Numbers.record(1));

        run.stop();
        assertThrows(SourceStoppedException.class, () -> emitter.emit(Numbers.record(2)));
        assertThrows(SourceStoppedException.class, () -> emitter.tryEmit(Numbers.record(2)));
        assertTrue(emitter.isStopping());
        session.records(1);
        session.expectDrained();
        session.commit(1);
        session.expectEnd();
        session.end();
        run.join();

        emitted.get(20, TimeUnit.SECONDS);
        assertEquals(List.of("committed 1", "close"), List.copyOf(life));
    }

    @Test
    void whoWaitsForARecordHearsThatTheSourceStopped() throws Throwable {
        StreamingSource source = new Handed();
        Background run = start(
            Connectors.runner(source, sourceOptions().drainTimeout(Duration.ofMillis(50)).build()));
        SourceScript session = sidecar.source().opened();
        session.demand(1);
        CompletableFuture<Void> emitted = emitter().emit(Numbers.record(1));
        session.records(1);

        run.stop();
        session.expectDrained();
        session.end();
        run.join();

        assertInstanceOf(SourceStoppedException.class, failure(emitted));
    }

    @Test
    void aStreamThatReturnsEndsTheRunWhenAllIsCommitted() throws Throwable {
        Background run = start((Emitter emitter) -> {
            for (int number = 1; number <= 3; number++) {
                emitter.emit(Numbers.record(number));
            }
        });
        SourceScript session = sidecar.source().opened();
        session.demand(2);
        assertEquals(List.of("n1", "n2"), session.records(2));
        session.demand(3);
        assertEquals(List.of("n3"), session.records(1));
        session.expectDrained();

        session.commit(3);
        session.end();

        run.join();
    }

    @Test
    void aStreamThatFailsEndsTheRun() throws Exception {
        Background run = start((Emitter emitter) -> {
            throw new IllegalStateException("no such queue");
        });
        SourceScript session = sidecar.source().opened();

        assertEquals("no such queue", session.next().getFault().getMessage());
        session.end();
        FatalException failure = assertThrows(FatalException.class, run::join);
        assertEquals("no such queue", failure.getMessage());
    }

    @Test
    void manyThreadsMayEmit() throws Throwable {
        int threads = 4;
        int each = 500;
        Background run = start((Emitter emitter) -> {
            List<CompletableFuture<Void>> all = IntStream.range(0, threads)
                .mapToObj(thread -> CompletableFuture.runAsync(() -> {
                    for (int number = 0; number < each; number++) {
                        emit(emitter, number);
                    }
                }))
                .toList();
            CompletableFuture.allOf(all.toArray(CompletableFuture[]::new)).get();
        });
        SourceScript session = sidecar.source().opened();
        for (int allowed = 10; allowed <= threads * each; allowed += 10) {
            session.demand(allowed);
            session.records(10);
            session.commit(allowed);
        }
        session.expectDrained();
        session.end();

        run.join();
    }
}
