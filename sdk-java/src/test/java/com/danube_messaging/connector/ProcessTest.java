package com.danube_messaging.connector;

import static com.danube_messaging.connector.SinkScript.record;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.danube_messaging.connector.conformance.SinkMain;
import com.danube_messaging.connector.conformance.SourceMain;
import io.grpc.Status;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Connectors as processes of their own: signals, exit codes, and the conformance programs. */
class ProcessTest extends ConnectorTest {
    private static final int KILLED_BY_SIGTERM = 128 + 15;

    @TempDir
    private Path folder;

    private Process process;

    private void launch(Class<?> main, Map<String, String> environment) throws IOException {
        ProcessBuilder builder = new ProcessBuilder(
            Path.of(System.getProperty("java.home"), "bin", "java").toString(),
            "-cp", System.getProperty("java.class.path"), main.getName());
        builder.environment().put("DANUBE_SIDECAR_ADDRESS", sidecar.address());
        builder.environment().put("CONFORMANCE_FILE", folder.resolve("journal").toString());
        builder.environment().putAll(environment);
        process = builder.redirectErrorStream(true).redirectOutput(folder.resolve("log").toFile()).start();
    }

    @AfterEach
    void kill() {
        process.destroyForcibly();
    }

    private void terminate() throws Exception {
        new ProcessBuilder("kill", "-TERM", Long.toString(process.pid())).start().waitFor();
    }

    private int exitCode() throws Exception {
        assertTrue(process.waitFor(20, TimeUnit.SECONDS), "the process does not end");
        return process.exitValue();
    }

    private String log() {
        try {
            return Files.readString(folder.resolve("log"));
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    private List<String> journal() throws IOException {
        return Files.readAllLines(folder.resolve("journal"));
    }

    @Test
    void sigtermFinishesWhatIsInHandAndExitsWithSuccess() throws Exception {
        launch(SinkMain.class, Map.of("CONFORMANCE_MODE", "single"));
        SinkScript session = sidecar.sink().opened("{\"conformance\": {\"word\": \"w\"}}");
        session.batch(record(1, "slow 300"), record(2, "reject"), record(3, "error"), record(4, "filter"));
        session.expectSilence();

        terminate();

        assertEquals(
            Map.of(1L, "written", 2L, "REJECT TOLD_TO", 3L, "RETRY EXCEPTION", 4L, "FILTERED TOLD_TO"), session.answers(4));
        session.expectDrained();
        session.expectEnd();
        session.end();
        assertEquals(0, exitCode());
        assertEquals(List.of("opened w", "written  1 -", "closed"), journal());
    }

    @Test
    void aSecondSignalEndsTheProcessAtOnce() throws Exception {
        launch(SinkMain.class, Map.of());
        SinkScript session = sidecar.sink().opened();
        session.batch(record(1, "slow 60000"));
        session.expectSilence();
        terminate();
        Eventually.holds(() -> log().contains("finishing what is in hand"), "the first signal to be noticed");

        terminate();

        assertEquals(KILLED_BY_SIGTERM, exitCode());
    }

    @Test
    void aRefusedConnectorExitsWithAFailureThatNamesTheReason() throws Exception {
        launch(SourceMain.class, Map.of());

        sidecar.source().fail(Status.PERMISSION_DENIED.withDescription("no such connector"));

        assertEquals(1, exitCode());
        assertTrue(log().contains("no such connector"));
        assertEquals(List.of("closed"), journal());
    }

    @Test
    void theConformanceSourceCountsInBothModes() throws Exception {
        for (String mode : List.of("poll", "push")) {
            Files.deleteIfExists(folder.resolve("journal"));
            launch(SourceMain.class, Map.of("CONFORMANCE_MODE", mode, "CONFORMANCE_END", "1"));
            SourceScript session = sidecar.source().opened(new Position("numbers", 997));
            session.demand(100);
            assertEquals(List.of("record 998", "record 999", "record 1000"), session.records(3));
            session.expectDrained();
            session.commit(3);
            session.end();

            assertEquals(0, exitCode());
            assertEquals(
                List.of("restored 997", "committed 998", "committed 999", "committed 1000", "closed"), journal());
        }
    }
}
