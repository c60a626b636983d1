package com.danube_messaging.examples.redis;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.danube_messaging.connector.Outcome;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.UncheckedIOException;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.net.SocketException;
import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import org.junit.jupiter.api.Test;

/** What Redis's answers mean, played by a server of one connection; the real one is in tests/examples. */
class RedisWriterTest {
    private static final List<Write> TWO = List.of(
        new Write("k", "1", Write.command("HSET", "k", "a", "1")), new Write("k", "2", Write.command("HSET", "k", "a", "2")));

    private static RedisWriter writer(int port) {
        return new RedisWriter(URI.create("redis://127.0.0.1:" + port), Duration.ofSeconds(60));
    }

    /** What becomes of two records when MULTI, both calls and EXEC are answered like this. */
    private static List<Outcome> outcomes(String... answers) throws Exception {
        try (ServerSocket server = new ServerSocket(0, 1, InetAddress.getLoopbackAddress());
                RedisWriter writer = writer(server.getLocalPort())) {
            String transaction = String.join("\r\n", answers) + "\r\n";
            CompletableFuture<Void> played = CompletableFuture.runAsync(() -> play(server, transaction));
            List<Outcome> outcomes = writer.write(TWO);
            writer.close();
            played.get();
            return outcomes;
        }
    }

    private static void play(ServerSocket server, String transaction) {
        try (Socket redis = server.accept()) {
            BufferedReader commands = new BufferedReader(new InputStreamReader(redis.getInputStream(), StandardCharsets.UTF_8));
            for (String line = commands.readLine(); line != null; line = commands.readLine()) {
                String answer = switch (line) {
                    case "HELLO" -> "-ERR unknown command\r\n";
                    case "CLIENT" -> "+OK\r\n";
                    case "SCRIPT" -> "$3\r\nsha\r\n";
                    case "EXEC" -> transaction;
                    default -> "";
                };
                redis.getOutputStream().write(answer.getBytes(StandardCharsets.UTF_8));
            }
        } catch (SocketException e) {
            assertEquals("Connection reset", e.getMessage()); // That is how Jedis closes.
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    private static List<String> codes(List<Outcome> outcomes) {
        return outcomes.stream().map(outcome -> outcome.kind() + " " + outcome.code()).toList();
    }

    @Test
    void whatIsWrittenNowOrWasBeforeIsWritten() throws Exception {
        assertEquals(List.of("WRITTEN ", "WRITTEN "), codes(outcomes("+OK", "+QUEUED", "+QUEUED", "*2", ":1", ":0")));
    }

    @Test
    void aKeyOfAnotherTypeIsADeadLetterAndTheOthersGoOn() throws Exception {
        List<Outcome> outcomes = outcomes("+OK", "+QUEUED", "+QUEUED", "*2", "-WRONGTYPE Operation against a key", ":1");

        assertEquals(List.of("REJECT WRONGTYPE", "WRITTEN "), codes(outcomes));
    }

    @Test
    void outOfMemoryIsNoFaultOfARecord() throws Exception {
        List<Outcome> outcomes = outcomes("+OK", "+QUEUED", "+QUEUED", "*2", "-OOM command", "-OOM command");

        assertEquals(List.of("BUSY OOM", "BUSY OOM"), codes(outcomes));
    }

    @Test
    void aServerThatLoadsSaysSoForTheWholeBatch() throws Exception {
        List<Outcome> outcomes = outcomes("+OK", "-LOADING Redis", "-LOADING Redis", "-EXECABORT Transaction");

        assertEquals(List.of("BUSY LOADING", "BUSY LOADING"), codes(outcomes));
    }

    @Test
    void aScriptThatRedisHasForgottenIsLoadedForTheNextTry() throws Exception {
        List<Outcome> outcomes = outcomes("+OK", "+QUEUED", "+QUEUED", "*2", "-NOSCRIPT No", "-NOSCRIPT No");

        assertEquals(List.of("RETRY NOSCRIPT", "RETRY NOSCRIPT"), codes(outcomes));
    }

    @Test
    void aServerThatIsNotThereIsARetryThatNamesIt() throws Exception {
        int port;
        try (ServerSocket free = new ServerSocket(0, 1, InetAddress.getLoopbackAddress())) {
            port = free.getLocalPort();
        }
        try (RedisWriter writer = writer(port)) {
            List<Outcome> outcomes = writer.write(TWO);

            assertEquals(List.of("RETRY REDIS_UNAVAILABLE", "RETRY REDIS_UNAVAILABLE"), codes(outcomes));
            assertTrue(outcomes.get(0).message().contains("127.0.0.1:" + port), outcomes.get(0).message());
            assertThrows(IllegalStateException.class, writer::ping);
        }
    }
}
