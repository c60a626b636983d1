package com.danube_messaging.examples.redis;

import com.danube_messaging.connector.BatchSink;
import com.danube_messaging.connector.Connectors;
import com.danube_messaging.connector.FilteredException;
import com.danube_messaging.connector.Outcome;
import com.danube_messaging.connector.Record;
import com.danube_messaging.connector.RejectException;
import com.danube_messaging.connector.Settings;
import com.danube_messaging.connector.SinkOptions;
import java.util.ArrayList;
import java.util.Iterator;
import java.util.List;

/** Writes records to Redis, as entries of a stream or as fields of hashes: each once, in the order of their keys. */
public final class RedisSink implements BatchSink {
    private Mapping mapping;
    private RedisWriter redis;

    @Override
    public void open(Settings settings) {
        SinkSettings ours = SinkSettings.parse(settings, System.getenv());
        mapping = ours.mapping();
        redis = new RedisWriter(ours.url(), ours.dedupTtl());
    }

    // A record that cannot become a command is answered for at once; the others are written together, and get Redis's answers.
    @Override
    public List<Outcome> processBatch(List<Record> records) {
        List<Outcome> outcomes = new ArrayList<>();
        List<Write> writes = new ArrayList<>();
        for (Record record : records) {
            try {
                writes.add(mapping.write(record));
                outcomes.add(Outcome.written());
            } catch (RejectException | FilteredException e) {
                outcomes.add(Outcome.of(e));
            }
        }
        Iterator<Outcome> answers = redis.write(writes).iterator();
        outcomes.replaceAll(outcome -> outcome.kind() == Outcome.Kind.WRITTEN ? answers.next() : outcome);
        return outcomes;
    }

    // region health
    @Override
    public void health() {
        redis.ping();
    }
    // endregion

    @Override
    public void close() {
        if (redis != null) {
            redis.close();
        }
    }

    public static void main(String[] args) {
        String name = System.getenv().getOrDefault("CONNECTOR_NAME", "redis-sink");
        Connectors.run(new RedisSink(), SinkOptions.builder().connector(name).build());
    }
}
