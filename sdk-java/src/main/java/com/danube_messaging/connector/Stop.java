package com.danube_messaging.connector;

import java.time.Duration;
import java.util.ArrayList;
import java.util.List;

/** Whether and when the connector was asked to stop. */
final class Stop {
    private final Duration grace;
    private final List<Runnable> listeners = new ArrayList<>();
    /** When the time to finish is over; null until asked. */
    private Deadline overdue;

    Stop(Duration grace) {
        this.grace = grace;
    }

    /** Asks. The time to finish begins with the first call. */
    void request() {
        List<Runnable> toTell;
        synchronized (this) {
            if (overdue != null) {
                return;
            }
            overdue = Deadline.in(grace);
            toTell = List.copyOf(listeners);
        }
        toTell.forEach(Runnable::run);
    }

    /** Has this called, on the thread that asks; at once, where that was before. */
    void whenRequested(Runnable listener) {
        synchronized (this) {
            if (overdue == null) {
                listeners.add(listener);
                return;
            }
        }
        listener.run();
    }

    synchronized boolean isRequested() {
        return overdue != null;
    }

    /** Whether the time to finish is over. */
    synchronized boolean isOverdue() {
        return overdue != null && overdue.isOver();
    }

    /** When the time to finish is over; never, until asked. */
    synchronized Deadline deadline() {
        return overdue == null ? Deadline.NEVER : overdue;
    }
}
