package com.danube_messaging.examples.redis;

import com.danube_messaging.connector.Record;
import java.util.List;

/**
 * Each record is an entry of a stream, with the fields {@code dedup_id}, {@code topic}, {@code key} (where it has one),
 * {@code publish_time_ms}, {@code attribute:NAME} for each attribute, and {@code payload}.
 *
 * @param target the stream's name
 * @param maxLen about how many entries are kept; 0 keeps all
 */
record StreamEntries(Target target, long maxLen) implements Mapping {
    @Override
    public Write write(Record record) {
        String stream = target.of(record);
        List<byte[]> command = Write.command("XADD", stream);
        if (maxLen > 0) {
            Write.append(command, "MAXLEN", "~", Long.toString(maxLen));
        }
        Write.append(command, "*", "dedup_id", record.dedupId(), "topic", record.topic());
        record.key().ifPresent(key -> Write.append(command, "key", key));
        Write.append(command, "publish_time_ms", Long.toString(record.publishTime().toEpochMilli()));
        record.attributes().forEach((name, value) -> Write.append(command, "attribute:" + name, value));
        Write.append(command, "payload");
        command.add(record.payload());
        return new Write(stream, record.dedupId(), command);
    }
}
