package com.danube_messaging.connector;

import java.lang.System.Logger.Level;
import java.time.Duration;
import java.util.concurrent.atomic.AtomicBoolean;

/** Runs one connector, and stops it: see {@link Connectors#runner(Sink, SinkOptions)}. */
public final class Runner {
    /** How long a call that was interrupted may take to notice, before the connector is closed all the same. */
    private static final Duration INTERRUPTED = Duration.ofSeconds(1);
    /** How long the connector's {@code close} may take. */
    private static final Duration CLOSE = Duration.ofSeconds(10);

    private final Run run;
    private final Driver driver;
    private final AtomicBoolean started = new AtomicBoolean();

    Runner(Run run, Driver driver) {
        this.run = run;
        this.driver = driver;
    }

    /**
     * Runs the connector. Returns when it was asked to stop (by {@link #stop}, SIGTERM, SIGINT, or an interrupt of this thread,
     * whose flag is then set again) and has finished what it had in hand, or when a source has ended and everything of it is
     * committed.
     *
     * @throws FatalException if the connector cannot go on
     * @throws SidecarException if the sidecar refuses the connector for good
     * @throws IllegalStateException at a second call
     */
    public void run() {
        if (!started.compareAndSet(false, true)) {
            throw new IllegalStateException("a runner runs once: make another one");
        }
        if (!run.options().stopOnSignals()) {
            serveAndClose();
        } else {
            Duration patience = run.options().drainTimeout().plus(Session.CLOSE_TIMEOUT).plus(INTERRUPTED).plus(CLOSE);
            try (StopSignals signals = new StopSignals(run.stop(), patience)) {
                serveAndClose();
            }
        }
        if (run.wasInterrupted()) {
            Thread.currentThread().interrupt();
        }
    }

    /**
     * Asks the connector to stop, as SIGTERM does, and returns at once: {@link #run} returns when what is in hand is finished.
     * May be called by any thread, at any time, more than once.
     */
    public void stop() {
        run.stop().request();
    }

    private void serveAndClose() {
        ConnectorException failure = null;
        try {
            serve();
        } catch (ConnectorException e) {
            failure = e;
        }
        try {
            close();
        } catch (FatalException e) {
            if (failure == null) {
                failure = e;
            } else {
                failure.addSuppressed(e);
            }
        }
        if (failure != null) {
            throw failure;
        }
    }

    private void serve() {
        Reconnect reconnect = new Reconnect(run.dialer().address());
        Deadline nextTry = Deadline.now();
        while (!driver.isDone()) {
            boolean needsSession = driver.needsSession();
            if (!needsSession || !nextTry.isOver()) {
                run.await((needsSession ? nextTry : Deadline.NEVER).or(run.stop().deadline()));
                continue;
            }
            try {
                driver.session(reconnect);
                return;
            } catch (SessionLost lost) {
                if (!driver.isDone() && driver.needsSession()) {
                    nextTry = Deadline.in(reconnect.failed(lost));
                }
            }
        }
    }

    /** Lets a call that is going on come to its end, and closes the connector. */
    private void close() {
        ConnectorThread thread = run.thread();
        // Nothing new is begun from here on, whyever the run ends.
        run.stop().request();
        await(thread, run.stop().deadline());
        if (thread.isBusy()) {
            Run.LOG.log(Level.WARNING, "the connector does not return: it is interrupted and closed");
            thread.interrupt();
            await(thread, Deadline.in(INTERRUPTED));
            // It may be that what goes on ends only when its resources are closed.
            thread = new ConnectorThread("danube-close-" + run.options().connector(), run.wakeup());
        }
        driver.end();
        run.health().end();
        close(thread);
    }

    private void close(ConnectorThread thread) {
        var closing = thread.call(() -> {
            run.connector().close();
            return null;
        });
        await(thread, Deadline.in(CLOSE));
        thread.end();
        if (!closing.isDone()) {
            Run.LOG.log(Level.WARNING, "close of the connector does not return: it is left");
            return;
        }
        try {
            closing.result();
        } catch (Exception e) {
            throw Run.fatal("CLOSE_FAILED", e);
        }
    }

    private void await(ConnectorThread thread, Deadline deadline) {
        while (thread.isBusy() && !deadline.isOver()) {
            run.await(deadline);
        }
    }
}
