package com.danube_messaging.connector;

import com.danube_messaging.connector.v1.SourceDemand;
import com.danube_messaging.connector.v1.SourceRecords;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.HashMap;
import java.util.Iterator;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.locks.Condition;
import java.util.concurrent.locks.ReentrantLock;

/**
 * Records that were read and are not committed yet. They stay here until the sidecar says that they are safe, so that a lost
 * session costs nothing: the next one gets them again, numbered from one.
 *
 * <p>What is here is bounded by the sidecar's demand, plus one poll. The running thread sends and commits; the connector's
 * threads add.
 */
final class Outbox implements Emitter {
    /** The frame limit of a sidecar that names none: 4 MiB, that of every gRPC library, less a reserve of 64 KiB. */
    static final int DEFAULT_LIMIT = (4 << 20) - (64 << 10);
    /** A frame is closed at this size, in bytes, to keep records moving. */
    static final int GOOD_FRAME = 1 << 20;
    /** What a frame needs around its records, and a record inside its frame, at most, in bytes. */
    private static final int FRAME_OVERHEAD = 64;
    private static final int RECORD_OVERHEAD = 16;
    /** Commits that the connector may be behind. */
    private static final int MOST_UNTOLD = 10_000;

    private final Wakeup wakeup;
    private final ReentrantLock lock = new ReentrantLock();
    private final Condition room = lock.newCondition();
    /** Sent in this session, in the order of their numbers; the first is the one after {@link #committed}. */
    private final Deque<OutboxEntry> sent = new ArrayDeque<>();
    private final Deque<OutboxEntry> waiting = new ArrayDeque<>();
    /** By source partition, the last offset that is known to be committed. */
    private final Map<String, Long> known = new HashMap<>();
    private long waitingBytes;
    private Demand demand = new Demand();
    private long committed;
    /** Committed records that the connector has not been told of. */
    private int untold;
    private int limit = DEFAULT_LIMIT;
    private boolean isInSession;
    private boolean isStopping;

    Outbox(Wakeup wakeup) {
        this.wakeup = wakeup;
    }

    /**
     * A new session begins: everything is sent again, but for what these positions show to be committed.
     *
     * @return what they do, in order
     */
    List<OutboxEntry> open(List<Position> positions, int limit) {
        lock.lock();
        try {
            while (!sent.isEmpty()) {
                OutboxEntry last = sent.removeLast();
                waiting.addFirst(last);
                waitingBytes += last.bytes();
            }
            demand = new Demand();
            committed = 0;
            this.limit = limit;
            isInSession = true;
            List<OutboxEntry> safe = removeUpTo(positions);
            untold += safe.size();
            return safe;
        } finally {
            lock.unlock();
        }
    }

    /**
     * Where a record is at one of the positions, it and those of its source partition before it are committed. Of several at
     * the same position only the first is, and none where that was known before.
     */
    private List<OutboxEntry> removeUpTo(List<Position> positions) {
        Map<String, Long> offsets = new HashMap<>();
        positions.stream()
            .filter(this::learn)
            .forEach(position -> offsets.put(position.sourcePartition(), position.offset()));
        Map<String, OutboxEntry> last = new HashMap<>();
        for (OutboxEntry entry : waiting) {
            entry.position()
                .filter(position -> Long.valueOf(position.offset()).equals(offsets.get(position.sourcePartition())))
                .ifPresent(position -> last.putIfAbsent(position.sourcePartition(), entry));
        }
        List<OutboxEntry> safe = new ArrayList<>();
        for (Iterator<OutboxEntry> entries = waiting.iterator(); entries.hasNext() && !last.isEmpty(); ) {
            OutboxEntry entry = entries.next();
            String partition = entry.position().map(Position::sourcePartition).orElse(null);
            if (last.containsKey(partition)) {
                entries.remove();
                waitingBytes -= entry.bytes();
                safe.add(entry);
                last.remove(partition, entry);
            }
        }
        return safe;
    }

    /** Whether it is news that the record at this position is committed. */
    private boolean learn(Position position) {
        Long offset = known.put(position.sourcePartition(), position.offset());
        return offset == null || offset != position.offset();
    }

    /** Nothing is sent for now: who emits waits for the next session. */
    void close() {
        lock.lock();
        try {
            isInSession = false;
        } finally {
            lock.unlock();
        }
    }

    /** The sidecar wants more. */
    void demand(SourceDemand more) {
        lock.lock();
        try {
            demand.update(more);
            room.signalAll();
        } finally {
            lock.unlock();
        }
    }

    /**
     * The next frame, if records wait and demand allows it.
     *
     * @throws RecordTooLargeException if the next record fits no frame
     */
    Optional<SourceRecords> nextFrame() {
        lock.lock();
        try {
            SourceRecords.Builder frame = SourceRecords.newBuilder().setFirstNumber(demand.sentRecords() + 1);
            long size = FRAME_OVERHEAD;
            while (!waiting.isEmpty() && demand.isOpen()) {
                OutboxEntry next = waiting.peek();
                size += next.bytes() + RECORD_OVERHEAD;
                if (size > Math.min(GOOD_FRAME, limit) && frame.getRecordsCount() > 0) {
                    break;
                }
                check(next.record());
                sent.add(waiting.remove());
                waitingBytes -= next.bytes();
                demand.spend(next.bytes());
                frame.addRecords(next.record().wire());
            }
            return frame.getRecordsCount() == 0 ? Optional.empty() : Optional.of(frame.build());
        } finally {
            lock.unlock();
        }
    }

    private void check(SourceRecord record) {
        int bytes = record.wire().getSerializedSize();
        if ((long) bytes + FRAME_OVERHEAD + RECORD_OVERHEAD > limit) {
            throw new RecordTooLargeException(record.topic(), bytes, limit);
        }
    }

    /** Everything up to this number is safe: forgets it, and returns what is new of it. */
    List<OutboxEntry> commit(long number) throws SessionLost {
        lock.lock();
        try {
            if (number < 0 || number > demand.sentRecords()) {
                throw SessionLost.protocol("it committed record " + Long.toUnsignedString(number) + ", which was not sent");
            }
            List<OutboxEntry> safe = new ArrayList<>();
            for (; committed < number; committed++) {
                OutboxEntry entry = sent.remove();
                entry.position().ifPresent(this::learn);
                safe.add(entry);
            }
            untold += safe.size();
            return safe;
        } finally {
            lock.unlock();
        }
    }

    /** The record of this number, if it is sent and not committed. */
    Optional<OutboxEntry> sent(long number) {
        lock.lock();
        try {
            boolean isThere = number > committed && number <= demand.sentRecords();
            return isThere ? sent.stream().skip(number - committed - 1).findFirst() : Optional.empty();
        } finally {
            lock.unlock();
        }
    }

    /** The connector was told of so many that are committed. */
    void told(int records) {
        lock.lock();
        try {
            untold -= records;
            room.signalAll();
        } finally {
            lock.unlock();
        }
    }

    /** Whether nothing waits to be sent and more could be: the time to poll. */
    boolean wantsMore() {
        lock.lock();
        try {
            return waiting.isEmpty() && demand.isOpen();
        } finally {
            lock.unlock();
        }
    }

    /** Whether nothing waits to be sent. */
    boolean isSent() {
        lock.lock();
        try {
            return waiting.isEmpty();
        } finally {
            lock.unlock();
        }
    }

    /** Whether everything is committed. */
    boolean isEmpty() {
        lock.lock();
        try {
            return waiting.isEmpty() && sent.isEmpty();
        } finally {
            lock.unlock();
        }
    }

    /** Keeps the records of a poll. */
    void add(List<SourceRecord> records) {
        lock.lock();
        try {
            records.forEach(this::append);
        } finally {
            lock.unlock();
        }
    }

    /** Takes no more of what is emitted. */
    void stop() {
        lock.lock();
        try {
            isStopping = true;
            room.signalAll();
        } finally {
            lock.unlock();
        }
    }

    /** Lets go of everything, and returns it. */
    List<OutboxEntry> abandon() {
        lock.lock();
        try {
            List<OutboxEntry> left = new ArrayList<>(sent);
            left.addAll(waiting);
            sent.clear();
            waiting.clear();
            waitingBytes = 0;
            return left;
        } finally {
            lock.unlock();
        }
    }

    @Override
    public boolean isStopping() {
        lock.lock();
        try {
            return isStopping;
        } finally {
            lock.unlock();
        }
    }

    @Override
    public CompletableFuture<Void> emit(SourceRecord record) throws InterruptedException {
        lock.lockInterruptibly();
        try {
            while (!isStopping && !hasRoom()) {
                room.await();
            }
            return take(record);
        } finally {
            lock.unlock();
        }
    }

    @Override
    public Optional<CompletableFuture<Void>> tryEmit(SourceRecord record) {
        lock.lock();
        try {
            return isStopping || hasRoom() ? Optional.of(take(record)) : Optional.empty();
        } finally {
            lock.unlock();
        }
    }

    private boolean hasRoom() {
        return isInSession && untold < MOST_UNTOLD && demand.isOpenAfter(waiting.size(), waitingBytes);
    }

    private CompletableFuture<Void> take(SourceRecord record) {
        if (isStopping) {
            throw new SourceStoppedException();
        }
        check(record);
        OutboxEntry entry = append(record);
        wakeup.wake();
        return entry.committed();
    }

    private OutboxEntry append(SourceRecord record) {
        OutboxEntry entry = new OutboxEntry(record);
        waiting.add(entry);
        waitingBytes += entry.bytes();
        return entry;
    }
}
