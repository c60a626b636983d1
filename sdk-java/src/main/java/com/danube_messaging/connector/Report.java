package com.danube_messaging.connector;

import com.danube_messaging.connector.v1.DeliveryRange;
import com.danube_messaging.connector.v1.SinkFailure;
import com.danube_messaging.connector.v1.SinkResults;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;

/**
 * Answers that were not sent yet. The connector's thread adds them, the running thread takes them. A session's window bounds
 * them: each of its records is answered once.
 */
final class Report {
    /** Answers wait for company at most this long … */
    static final Duration PATIENCE = Duration.ofMillis(50);
    /** … and no more failures than this go into one frame, which bounds its size. */
    static final int MOST_FAILURES = 1000;

    private final Wakeup wakeup;
    private List<DeliveryRange.Builder> written = new ArrayList<>();
    private List<SinkFailure> failures = new ArrayList<>();
    private Deadline due = Deadline.NEVER;

    /** Wakes the running thread when there is something to send. */
    Report(Wakeup wakeup) {
        this.wakeup = wakeup;
    }

    synchronized void add(long deliveryId, Outcome outcome) {
        if (outcome.kind() == Outcome.Kind.WRITTEN) {
            addWritten(deliveryId);
        } else {
            failures.add(Frames.failure(deliveryId, outcome));
        }
        if (due == Deadline.NEVER) {
            due = Deadline.in(PATIENCE);
            wakeup.wake();
        } else if (failures.size() == MOST_FAILURES) {
            due = Deadline.now();
            wakeup.wake();
        }
    }

    /** Ranges grow by the next id only, so they never cover one that failed, or that was not this worker's. */
    private void addWritten(long deliveryId) {
        DeliveryRange.Builder last = written.isEmpty() ? null : written.get(written.size() - 1);
        if (last != null && last.getLast() + 1 == deliveryId) {
            last.setLast(deliveryId);
        } else {
            written.add(DeliveryRange.newBuilder().setFirst(deliveryId).setLast(deliveryId));
        }
    }

    /** When the answers have to be sent; never, while there are none. */
    synchronized Deadline due() {
        return due;
    }

    /** The frames to send. */
    synchronized List<SinkResults> take() {
        List<SinkResults> frames = new ArrayList<>();
        for (int from = 0; from < failures.size(); from += MOST_FAILURES) {
            int to = Math.min(failures.size(), from + MOST_FAILURES);
            frames.add(SinkResults.newBuilder().addAllFailures(failures.subList(from, to)).build());
        }
        if (!written.isEmpty()) {
            SinkResults.Builder last =
                frames.isEmpty() ? SinkResults.newBuilder() : frames.remove(frames.size() - 1).toBuilder();
            written.forEach(last::addAcked);
            frames.add(last.build());
        }
        written = new ArrayList<>();
        failures = new ArrayList<>();
        due = Deadline.NEVER;
        return frames;
    }
}
