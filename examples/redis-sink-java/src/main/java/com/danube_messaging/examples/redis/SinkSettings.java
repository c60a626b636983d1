package com.danube_messaging.examples.redis;

import com.danube_messaging.connector.Settings;
import java.lang.System.Logger.Level;
import java.net.URI;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import redis.clients.jedis.util.JedisURIHelper;

/**
 * The sink's settings, checked.
 *
 * @param mapping what becomes of a record
 * @param url where Redis is; it may hold a password
 * @param dedupTtl how long the identity of a written record is remembered
 */
record SinkSettings(Mapping mapping, URI url, Duration dedupTtl) {
    private static final System.Logger LOG = System.getLogger("redis-sink");
    private static final List<String> NAMES = List.of("mode", "target", "max_len", "url_env", "dedup_ttl_s");
    private static final long DAY_S = 86_400;

    /**
     * Reads the settings of the operator's file; warns of those that do not exist.
     *
     * @throws IllegalArgumentException naming the setting that is wrong, and what was expected
     */
    static SinkSettings parse(Settings settings, Map<String, String> environment) {
        for (String name : settings.json().keySet()) {
            if (!NAMES.contains(name)) {
                LOG.log(Level.WARNING, "there is no setting {0}: it changes nothing; there are {1}", name, NAMES);
            }
        }
        long ttl = settings.number("dedup_ttl_s").orElse(DAY_S);
        check(ttl > 0, "the setting dedup_ttl_s is " + ttl + ": expected seconds, 1 or more");
        return new SinkSettings(mapping(settings), url(settings, environment), Duration.ofSeconds(ttl));
    }

    private static Mapping mapping(Settings settings) {
        Target target = Target.parse(settings.text("target").orElse("{topic}"));
        String mode = settings.text("mode").orElse("stream");
        long maxLen = settings.number("max_len").orElse(0L);
        check(maxLen >= 0, "the setting max_len is " + maxLen + ": expected 0 (no limit) or more");
        check(maxLen == 0 || mode.equals("stream"), "the setting max_len is for mode = \"stream\" only");
        return switch (mode) {
            case "stream" -> new StreamEntries(target, maxLen);
            case "hash" -> new HashFields(target);
            default -> throw new IllegalArgumentException(
                "the setting mode is \"" + mode + "\": expected \"stream\" or \"hash\"");
        };
    }

    /** Errors name the variable, never its value. */
    private static URI url(Settings settings, Map<String, String> environment) {
        String variable = settings.text("url_env").orElse("REDIS_URL");
        String form = "expected redis://[USER:PASSWORD@]HOST:PORT[/DATABASE], or rediss:// for TLS";
        String url = environment.get(variable);
        check(url != null, "the environment variable " + variable + " is not set: " + form);
        try {
            URI parsed = URI.create(url);
            if (JedisURIHelper.isValid(parsed)) {
                return parsed;
            }
        } catch (IllegalArgumentException e) {
            // Its message quotes the url.
        }
        throw new IllegalArgumentException("the environment variable " + variable + " is not a url of Redis: " + form);
    }

    private static void check(boolean isRight, String otherwise) {
        if (!isRight) {
            throw new IllegalArgumentException(otherwise);
        }
    }
}
