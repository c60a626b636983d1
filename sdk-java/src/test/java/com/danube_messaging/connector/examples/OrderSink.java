package com.danube_messaging.connector.examples;

import com.danube_messaging.connector.BatchSink;
import com.danube_messaging.connector.FatalException;
import com.danube_messaging.connector.Outcome;
import com.danube_messaging.connector.Record;
import com.danube_messaging.connector.RejectException;
import com.danube_messaging.connector.Settings;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;

/** A sink that writes batches: a table of orders, in memory. */
public class OrderSink implements BatchSink {
    /** An order as it comes, in JSON. */
    record Order(String id, Integer amount) {}

    final Map<String, Order> table = new ConcurrentHashMap<>();
    private long limit;

    @Override
    public void open(Settings settings) {
        limit = settings.number("limit").orElseThrow(() -> new FatalException("NO_LIMIT", "the setting limit is missing"));
    }

    @Override
    public List<Outcome> processBatch(List<Record> records) {
        List<Outcome> outcomes = new ArrayList<>();
        Set<Optional<String>> busy = new HashSet<>();
        for (Record record : records) {
            Outcome outcome = busy.contains(record.key()) ? Outcome.retry("BEHIND", "behind another one of its key") : write(record);
            if (outcome.kind() == Outcome.Kind.RETRY && record.key().isPresent()) {
                busy.add(record.key());
            }
            outcomes.add(outcome);
        }
        return outcomes;
    }

    private Outcome write(Record record) {
        try {
            Order order = record.json(Order.class);
            if (order == null || order.id() == null || order.amount() == null) {
                return Outcome.reject("INCOMPLETE", "an order has an id and an amount");
            }
            if (table.size() >= limit && !table.containsKey(order.id())) {
                return Outcome.retry("FULL", "the table is full", Duration.ofSeconds(1));
            }
            table.put(order.id(), order);
            return Outcome.written();
        } catch (RejectException e) {
            return Outcome.of(e);
        }
    }
}
