package com.danube_messaging.connector;

import java.util.concurrent.TimeUnit;

/**
 * Wakes the thread that runs a connector. That thread owns all state of the run; what happens on other threads is left where
 * it finds it, and then it is woken to look at everything. Wakes are not counted, so there is nothing that could grow.
 */
final class Wakeup {
    private boolean woken;

    synchronized void wake() {
        woken = true;
        notifyAll();
    }

    /** Waits until it is woken, since it last was, or the time has come. */
    synchronized void await(Deadline deadline) throws InterruptedException {
        while (!woken && !deadline.isOver()) {
            TimeUnit.NANOSECONDS.timedWait(this, Math.max(1, deadline.leftNanos()));
        }
        woken = false;
    }
}
