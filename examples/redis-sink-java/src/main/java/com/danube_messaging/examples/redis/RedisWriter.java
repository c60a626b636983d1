package com.danube_messaging.examples.redis;

import com.danube_messaging.connector.Outcome;
import java.net.URI;
import java.time.Duration;
import java.util.Collections;
import java.util.List;
import java.util.Set;
import redis.clients.jedis.CommandArguments;
import redis.clients.jedis.Connection;
import redis.clients.jedis.DefaultJedisClientConfig;
import redis.clients.jedis.HostAndPort;
import redis.clients.jedis.Protocol.Command;
import redis.clients.jedis.exceptions.JedisDataException;
import redis.clients.jedis.exceptions.JedisException;
import redis.clients.jedis.exceptions.JedisNoScriptException;
import redis.clients.jedis.util.JedisURIHelper;

/**
 * Writes to one Redis server. A batch is one transaction in one round trip: what keeps Redis from writing at the moment (it
 * loads, it is out of memory, it is gone) keeps it from the whole batch, so no record overtakes an earlier one of its key.
 *
 * <p>Used by one thread, but for {@link #ping}.
 */
final class RedisWriter implements AutoCloseable {
    /** What Redis answers while it takes no write at all: it loads, is a replica or full, runs a script, fails over. */
    private static final Set<String> BUSY = Set.of(
        "LOADING", "READONLY", "MASTERDOWN", "NOREPLICAS", "OOM", "MISCONF", "BUSY", "CLUSTERDOWN", "TRYAGAIN");
    /** How long an answer to a batch may take: a busy disk delays it where Redis writes to it before it answers. */
    private static final Duration ANSWER = Duration.ofSeconds(5);
    /** How long it may take to connect, or to answer a ping: a health check has 4 s for both. */
    private static final Duration CONNECT = Duration.ofMillis(1500);

    /**
     * Writes a record and remembers its identity, both or neither: Redis runs a script as a whole. The write comes first,
     * because what Redis refuses it refuses at the first write of a script. KEYS: where to write, the marker. ARGV: how many
     * seconds the marker lives, the command that writes.
     */
    private static final String SCRIPT = """
        if redis.call('EXISTS', KEYS[2]) == 1 then
          return 0
        end
        local reply = redis.pcall(unpack(ARGV, 2))
        if type(reply) == 'table' and reply.err then
          return reply
        end
        redis.call('SET', KEYS[2], '', 'EX', ARGV[1])
        return 1
        """;

    private final URI url;
    private final HostAndPort address;
    private final String dedupSeconds;
    /** Null while there is none. */
    private Connection connection;
    /** The script's name at the server that {@link #connection} leads to. */
    private byte[] script;

    RedisWriter(URI url, Duration dedupTtl) {
        this.url = url;
        address = JedisURIHelper.getHostAndPort(url);
        dedupSeconds = Long.toString(dedupTtl.toSeconds());
    }

    /** Does them all, in their order; says for each what became of it. */
    List<Outcome> write(List<Write> writes) {
        if (writes.isEmpty()) {
            return List.of();
        }
        try {
            List<Outcome> outcomes = execute(writes).stream().map(this::outcome).toList();
            if (outcomes.stream().anyMatch(outcome -> outcome.kind() == Outcome.Kind.BUSY)) {
                // A master that became a replica keeps its connections: the next one may lead to the new master.
                close();
            }
            return outcomes;
        } catch (JedisException e) {
            // It may be written all the same: then the next offer finds the markers.
            close();
            return Collections.nCopies(writes.size(), outcome(e));
        }
    }

    private List<?> execute(List<Write> writes) {
        Connection redis = connected();
        redis.sendCommand(Command.MULTI);
        writes.forEach(write -> redis.sendCommand(call(write)));
        redis.sendCommand(Command.EXEC);
        List<Object> replies = redis.getMany(writes.size() + 2);
        if (!(replies.get(replies.size() - 1) instanceof List<?> results)) {
            // The transaction was refused. The first refusal says why, the last one only that there was one.
            throw replies.stream().filter(JedisException.class::isInstance).map(JedisException.class::cast).findFirst()
                .orElseThrow(() -> new JedisException("EXEC was answered with something that is no list"));
        }
        for (Object result : results) {
            if (result instanceof JedisNoScriptException forgotten) {
                throw forgotten;
            }
        }
        return results;
    }

    private CommandArguments call(Write write) {
        CommandArguments call = new CommandArguments(Command.EVALSHA).add(script).add("2").add(write.key()).add(write.marker());
        call.add(dedupSeconds);
        write.command().forEach(call::add);
        return call;
    }

    /** Redis's own word for an error is the code: WRONGTYPE never gets better, some are about Redis and no write, all else may. */
    private Outcome outcome(Object reply) {
        if (!(reply instanceof JedisException error)) {
            return Outcome.written();
        }
        if (!(error instanceof JedisDataException)) {
            return Outcome.retry("REDIS_UNAVAILABLE", "Redis at " + address + ": " + rootCause(error));
        }
        String code = error.getMessage().split(" ", 2)[0];
        if (code.equals("WRONGTYPE")) {
            return Outcome.reject(code, error.getMessage());
        }
        return BUSY.contains(code) ? Outcome.busy(code, error.getMessage()) : Outcome.retry(code, error.getMessage());
    }

    private static String rootCause(Throwable error) {
        while (error.getCause() != null) {
            error = error.getCause();
        }
        return error.getMessage() == null ? error.toString() : error.getMessage();
    }

    /**
     * Asks Redis whether it is well, on a connection of its own. Any thread may call it.
     *
     * @throws IllegalStateException if it is not
     */
    void ping() {
        try (Connection redis = connect(CONNECT)) {
            redis.ping();
        } catch (JedisException e) {
            throw new IllegalStateException(outcome(e).message());
        }
    }

    private Connection connected() {
        if (connection == null) {
            connection = connect(ANSWER);
            script = (byte[]) connection.executeCommand(new CommandArguments(Command.SCRIPT).add("LOAD").add(SCRIPT));
        }
        return connection;
    }

    private Connection connect(Duration answer) {
        return new Connection(address, DefaultJedisClientConfig.builder()
            .connectionTimeoutMillis((int) CONNECT.toMillis())
            .socketTimeoutMillis((int) answer.toMillis())
            .user(JedisURIHelper.getUser(url))
            .password(JedisURIHelper.getPassword(url))
            .database(JedisURIHelper.getDBIndex(url))
            .ssl(JedisURIHelper.isRedisSSLScheme(url))
            .clientName("danube-redis-sink")
            .build());
    }

    /** Lets go of the connection; the next batch makes another one. */
    @Override
    public void close() {
        if (connection == null) {
            return;
        }
        try {
            connection.close();
        } catch (JedisException e) {
            System.getLogger("redis-sink").log(System.Logger.Level.DEBUG, "the connection was gone already", e);
        } finally {
            connection = null;
        }
    }
}
