package com.danube_messaging.connector;

import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.Queue;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicInteger;

/** A source that counts, so many records a poll, and remembers its life. */
final class Numbers implements PollingSource {
    final Queue<String> life = new ConcurrentLinkedQueue<>();
    final AtomicInteger polls = new AtomicInteger();
    final AtomicBoolean overlapped = new AtomicBoolean();
    private final AtomicBoolean isBusy = new AtomicBoolean();
    private final int perPoll;
    private final long last;
    private final boolean ends;
    private long next = 1;

    Numbers(int perPoll, long last, boolean ends) {
        this.perPoll = perPoll;
        this.last = last;
        this.ends = ends;
    }

    /** Never ends. */
    static Numbers without(int perPoll) {
        return new Numbers(perPoll, Long.MAX_VALUE, false);
    }

    static SourceRecord record(long number) {
        return SourceRecord.builder().payload("n" + number).position(new Position("numbers", number)).build();
    }

    @Override
    public void restore(List<Position> positions) {
        life.add("restore " + positions.stream().map(Position::offset).toList());
        positions.forEach(position -> next = position.offset() + 1);
    }

    @Override
    public Optional<List<SourceRecord>> poll() {
        enter();
        polls.incrementAndGet();
        List<SourceRecord> records = new ArrayList<>();
        while (records.size() < perPoll && next <= last) {
            records.add(record(next++));
        }
        isBusy.set(false);
        return records.isEmpty() && ends ? Optional.empty() : Optional.of(records);
    }

    @Override
    public void commit(List<Position> positions) {
        enter();
        positions.forEach(position -> life.add("committed " + position.offset()));
        isBusy.set(false);
    }

    @Override
    public void rejected(SourceRecord record, String code, String message) {
        life.add("rejected " + record.position().orElseThrow().offset() + " " + code);
    }

    @Override
    public void close() {
        life.add("close");
    }

    private void enter() {
        if (!isBusy.compareAndSet(false, true)) {
            overlapped.set(true);
        }
    }
}
