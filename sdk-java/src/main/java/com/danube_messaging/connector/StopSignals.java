package com.danube_messaging.connector;

import java.lang.System.Logger.Level;
import java.time.Duration;
import java.util.HashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import sun.misc.Signal;
import sun.misc.SignalHandler;

/**
 * Lets SIGTERM and SIGINT stop the connectors that run in this process, and lets the end of the JVM wait for them.
 *
 * <p>A shutdown hook alone would end the process in the middle of {@code main}, with a failure for its exit code, beside the
 * hooks that close what the connector still needs; and a second signal would change nothing. So the signals are taken as such:
 * the first one lets {@code run} return, the second one ends the process at once. The hook covers every other end, and JVMs
 * that keep their signals to themselves (-Xrs).
 */
final class StopSignals implements AutoCloseable {
    private static final List<Signal> SIGNALS = List.of(new Signal("TERM"), new Signal("INT"));
    private static final Set<StopSignals> RUNNING = new LinkedHashSet<>();
    private static final Map<Signal, SignalHandler> BEFORE = new HashMap<>();

    private final Stop stop;
    private final Thread hook;
    private final CountDownLatch ended = new CountDownLatch(1);

    /** From here on a signal stops it; at the end of the JVM it has {@code patience} to return. */
    StopSignals(Stop stop, Duration patience) {
        this.stop = stop;
        hook = new Thread(() -> {
            stop.request();
            awaitEnd(patience);
        }, "danube-connector-stop");
        Runtime.getRuntime().addShutdownHook(hook);
        synchronized (RUNNING) {
            if (RUNNING.isEmpty()) {
                SIGNALS.forEach(StopSignals::take);
            }
            RUNNING.add(this);
        }
    }

    /** It has ended: gives back what was taken. */
    @Override
    public void close() {
        ended.countDown();
        synchronized (RUNNING) {
            RUNNING.remove(this);
            if (RUNNING.isEmpty()) {
                BEFORE.forEach(Signal::handle);
                BEFORE.clear();
            }
        }
        try {
            Runtime.getRuntime().removeShutdownHook(hook);
        } catch (IllegalStateException e) {
            Run.LOG.log(Level.DEBUG, "the JVM is shutting down: its hook stays");
        }
    }

    /** Takes a signal, unless who started the process wants it ignored. */
    private static void take(Signal signal) {
        try {
            SignalHandler before = Signal.handle(signal, StopSignals::stopAll);
            if (before == SignalHandler.SIG_IGN) {
                Signal.handle(signal, before);
            } else {
                BEFORE.put(signal, before);
            }
        } catch (IllegalArgumentException e) {
            Run.LOG.log(Level.DEBUG, "the JVM keeps {0} to itself: its shutdown stops the connector", signal);
        }
    }

    private static void stopAll(Signal signal) {
        List<StopSignals> running;
        synchronized (RUNNING) {
            BEFORE.keySet().forEach(taken -> Signal.handle(taken, SignalHandler.SIG_DFL));
            running = List.copyOf(RUNNING);
        }
        Run.LOG.log(Level.INFO, "{0}: finishing what is in hand", signal);
        running.forEach(one -> one.stop.request());
    }

    private void awaitEnd(Duration patience) {
        try {
            if (!ended.await(patience.toMillis(), TimeUnit.MILLISECONDS)) {
                Run.LOG.log(Level.WARNING, "the connector did not stop in time");
            }
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }
}
