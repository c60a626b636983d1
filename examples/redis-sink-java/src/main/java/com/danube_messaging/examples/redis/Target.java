package com.danube_messaging.examples.redis;

import com.danube_messaging.connector.Record;
import com.danube_messaging.connector.RejectException;
import java.util.regex.MatchResult;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** The name of a Redis key, in which {@code {topic}} and {@code {attribute:NAME}} stand for what a record has there. */
final class Target {
    private static final Pattern PLACEHOLDER = Pattern.compile("\\{(?:(topic)|attribute:([^{}]+))\\}");

    private final String pattern;

    private Target(String pattern) {
        this.pattern = pattern;
    }

    /**
     * Reads a name.
     *
     * @throws IllegalArgumentException if it is empty or has another placeholder
     */
    static Target parse(String pattern) {
        String fixed = PLACEHOLDER.matcher(pattern).replaceAll("");
        if (pattern.isEmpty() || fixed.contains("{") || fixed.contains("}")) {
            throw new IllegalArgumentException("the setting target is \"" + pattern
                + "\": expected a name with no other placeholders than {topic} and {attribute:NAME}");
        }
        return new Target(pattern);
    }

    /**
     * The name for a record.
     *
     * @throws RejectException if the record lacks an attribute that the name asks for
     */
    String of(Record record) {
        return PLACEHOLDER.matcher(pattern).replaceAll(found -> Matcher.quoteReplacement(value(found, record)));
    }

    private static String value(MatchResult placeholder, Record record) {
        if (placeholder.group(1) != null) {
            return record.topic();
        }
        String value = record.attributes().get(placeholder.group(2));
        if (value == null) {
            throw new RejectException("NO_ATTRIBUTE", "the record has no attribute " + placeholder.group(2));
        }
        return value;
    }
}
