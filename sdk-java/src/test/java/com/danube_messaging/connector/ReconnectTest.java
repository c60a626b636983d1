package com.danube_messaging.connector;

import static com.danube_messaging.connector.SinkScript.record;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.danube_messaging.connector.v1.SinkServiceRunResponse;
import com.google.protobuf.Any;
import com.google.rpc.ErrorInfo;
import com.google.rpc.RetryInfo;
import io.grpc.Status;
import io.grpc.StatusRuntimeException;
import io.grpc.protobuf.StatusProto;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Queue;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.TimeUnit;
import java.util.logging.Handler;
import java.util.logging.Level;
import java.util.logging.LogRecord;
import java.util.logging.Logger;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** How the sidecar is found, lost and found again. */
class ReconnectTest extends ConnectorTest {
    private static final Sink SINK = record -> { };

    @TempDir
    private Path folder;

    private static StatusRuntimeException refusal(Status.Code code, com.google.protobuf.Message detail) {
        return StatusProto.toStatusRuntimeException(com.google.rpc.Status.newBuilder()
            .setCode(code.value())
            .setMessage("topic /default/x")
            .addDetails(Any.pack(detail))
            .build());
    }

    @ParameterizedTest
    @EnumSource(names = {"INVALID_ARGUMENT", "FAILED_PRECONDITION", "PERMISSION_DENIED", "UNAUTHENTICATED"})
    void aRefusalEndsTheRunWithItsReason(Status.Code code) throws Exception {
        Background run = start(SINK);

        sidecar.sink().fail(refusal(code, ErrorInfo.newBuilder().setReason("TOPIC_NOT_ALLOWED").build()));

        SidecarException failure = assertThrows(SidecarException.class, run::join);
        assertEquals(code.name(), failure.code());
        assertEquals("TOPIC_NOT_ALLOWED", failure.reason());
        for (String part : List.of(code.name(), "TOPIC_NOT_ALLOWED", "topic /default/x")) {
            assertTrue(failure.getMessage().contains(part), failure.getMessage());
        }
    }

    @ParameterizedTest
    @EnumSource(names = {"UNAVAILABLE", "DEADLINE_EXCEEDED", "RESOURCE_EXHAUSTED", "INTERNAL", "ABORTED", "UNKNOWN"})
    void anyOtherStatusOpensAnotherSession(Status.Code code) throws Exception {
        start(SINK);

        sidecar.sink().opened().fail(code.toStatus());

        sidecar.sink().opened();
    }

    @Test
    void anotherProcessOfASourceIsFinal() throws Exception {
        Background run = start((PollingSource) () -> Optional.of(List.of()));

        sidecar.source().opened().fail(Status.ABORTED.withDescription("epoch 8"));

        SidecarException failure = assertThrows(SidecarException.class, run::join);
        assertEquals("ABORTED", failure.code());
        assertTrue(failure.getMessage().contains("taken over"), failure.getMessage());
    }

    @Test
    void aSessionWhoseFirstFrameIsNotOpenedIsBroken() throws Exception {
        start(SINK);
        SinkScript first = sidecar.sink();
        first.open();

        first.batch(record(1, "too soon"));

        SinkScript second = sidecar.sink().opened();
        second.batch(record(1, "in time"));
        assertEquals(Map.of(1L, "written"), second.answers(1));
    }

    @Test
    void aSessionThatIsOpenedTwiceIsBroken() throws Exception {
        start(SINK);
        SinkScript first = sidecar.sink().opened();

        first.send(SinkServiceRunResponse.newBuilder()
            .setOpened(com.danube_messaging.connector.v1.SinkOpened.getDefaultInstance())
            .build());

        sidecar.sink().opened();
    }

    @Test
    void aSidecarThatComesLaterOnAUnixSocketIsFound() throws Exception {
        Path socket = folder.resolve("side car.sock");
        start(Connectors.runner(SINK, sinkOptions().address("unix://" + socket).token("secret").build()));

        try (ScriptedSidecar late = ScriptedSidecar.onUnix(socket)) {
            SinkScript session = late.sink().opened();
            session.batch(record(1, "a"));

            assertEquals(Map.of(1L, "written"), session.answers(1));
            assertEquals("localhost Bearer secret", late.call());
        }
    }

    @Test
    void theDialOfAUnixSocketLeavesNoNoiseInTheLog() throws Exception {
        Queue<LogRecord> logged = new ConcurrentLinkedQueue<>();
        Logger netty = Logger.getLogger("io.grpc.netty.shaded.io.netty.bootstrap.Bootstrap");
        Handler listener = new LogQueue(logged);
        netty.addHandler(listener);
        try (ScriptedSidecar unix = ScriptedSidecar.onUnix(folder.resolve("s.sock"))) {
            start(Connectors.runner(SINK, sinkOptions().address(unix.address()).build()));
            unix.sink().opened().expectSilence();
        } finally {
            netty.removeHandler(listener);
        }

        assertEquals(List.of(), logged.stream().map(LogRecord::getMessage).toList());
    }

    /** Keeps warnings. */
    private static final class LogQueue extends Handler {
        private final Queue<LogRecord> logged;

        LogQueue(Queue<LogRecord> logged) {
            this.logged = logged;
            setLevel(Level.WARNING);
        }

        @Override
        public void publish(LogRecord record) {
            if (isLoggable(record)) {
                logged.add(record);
            }
        }

        @Override
        public void flush() {}

        @Override
        public void close() {}
    }

    @Test
    void overTcpTheAuthorityIsLocalhostAndThereIsNoTokenUnlessItIsSet() throws Exception {
        start(SINK);

        sidecar.sink().opened();

        assertEquals("localhost null", sidecar.call());
    }

    @Test
    void theSidecarsRetryInfoIsRespected() {
        var delay = com.google.protobuf.Duration.newBuilder().setSeconds(20);
        StatusRuntimeException status = refusal(Status.Code.UNAVAILABLE, RetryInfo.newBuilder().setRetryDelay(delay).build());
        Reconnect reconnect = new Reconnect(Address.parse("http://127.0.0.1:1"));

        Duration pause = reconnect.failed(SessionLost.ended(status.getStatus(), status.getTrailers(), false));

        assertEquals(Duration.ofSeconds(20), pause);
    }

    @Test
    void pausesGrowToTheirLimit() {
        Backoff backoff = new Backoff();
        Duration longest = Duration.ZERO;
        assertTrue(backoff.next().compareTo(Backoff.FIRST) <= 0);
        for (int tries = 0; tries < 200; tries++) {
            Duration pause = backoff.next();
            longest = pause.compareTo(longest) > 0 ? pause : longest;
        }

        assertTrue(longest.compareTo(Backoff.LONGEST) <= 0);
        assertTrue(longest.compareTo(Backoff.LONGEST.dividedBy(2)) > 0);
        backoff.reset();
        assertTrue(backoff.next().compareTo(Backoff.FIRST) <= 0);
    }

    @Test
    void aRunnerRunsOnce() throws Throwable {
        Runner runner = Connectors.runner(SINK, sinkOptions().build());
        runner.stop();
        runner.run();

        assertThrows(IllegalStateException.class, runner::run);
    }

    @Test
    void anInterruptStopsTheRunAndIsKept() throws Exception {
        Runner runner = Connectors.runner(SINK, sinkOptions().build());
        var kept = new CompletableFuture<Boolean>();
        Thread thread = ConnectorThread.daemon("run", () -> {
            runner.run();
            kept.complete(Thread.currentThread().isInterrupted());
        });
        thread.start();
        SinkScript session = sidecar.sink().opened();
        session.expectSilence();

        thread.interrupt();
        session.expectDrained();
        session.expectEnd();
        session.end();

        assertTrue(kept.get(20, TimeUnit.SECONDS));
    }
}
