package com.danube_messaging.examples.redis;

import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;

/**
 * One Redis command that writes one record.
 *
 * @param key the Redis key that it writes to
 * @param dedupId the record's identity
 * @param command the command's name and its arguments, the key among them
 */
record Write(String key, String dedupId, List<byte[]> command) {
    /** The Redis key that remembers that the record is written. */
    String marker() {
        return "danube:seen:" + key + ":" + dedupId;
    }

    /** A command of these words. */
    static List<byte[]> command(String... words) {
        List<byte[]> command = new ArrayList<>();
        append(command, words);
        return command;
    }

    /** Adds words to a command. */
    static void append(List<byte[]> command, String... words) {
        for (String word : words) {
            command.add(bytes(word));
        }
    }

    /** Text as Redis keeps it. */
    static byte[] bytes(String text) {
        return text.getBytes(StandardCharsets.UTF_8);
    }
}
