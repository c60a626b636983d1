package com.danube_messaging.connector;

import java.util.concurrent.Callable;

/** What belongs to one run of a connector, and outlives sessions. Used by the running thread only, but for the stop. */
final class Run {
    static final System.Logger LOG = System.getLogger("com.danube_messaging.connector");

    private final Connector connector;
    private final ConnectorOptions options;
    private final Wakeup wakeup = new Wakeup();
    private final Stop stop;
    private final Dialer dialer;
    private final ConnectorThread thread;
    private final HealthChecks health;
    /** The call of the connector's first hooks; null before the first session. */
    private ConnectorThread.Call<?> opening;
    private boolean isOpen;
    private boolean interrupted;

    Run(Connector connector, ConnectorOptions options) {
        this.connector = connector;
        this.options = options;
        stop = new Stop(options.drainTimeout());
        stop.whenRequested(wakeup::wake);
        dialer = new Dialer(options);
        thread = new ConnectorThread("danube-connector-" + options.connector(), wakeup);
        health = new HealthChecks("danube-health-" + options.connector(), connector, wakeup);
    }

    Connector connector() {
        return connector;
    }

    ConnectorOptions options() {
        return options;
    }

    Wakeup wakeup() {
        return wakeup;
    }

    Stop stop() {
        return stop;
    }

    Dialer dialer() {
        return dialer;
    }

    ConnectorThread thread() {
        return thread;
    }

    HealthChecks health() {
        return health;
    }

    /** Whether the thread was interrupted while it ran. */
    boolean wasInterrupted() {
        return interrupted;
    }

    /** Calls the connector's first hooks, at the first session only. */
    void open(Callable<Void> hooks) {
        if (opening == null) {
            opening = thread.call(hooks);
        }
    }

    /**
     * Whether the first hooks have returned.
     *
     * @throws FatalException if they failed
     */
    boolean isOpen() {
        if (!isOpen && opening != null && opening.isDone()) {
            try {
                opening.result();
            } catch (Exception e) {
                throw fatal("OPEN_FAILED", e);
            }
            isOpen = true;
        }
        return isOpen;
    }

    /** What a hook's exception means to the run: a fatal one is itself, any other one gets this code. */
    static FatalException fatal(String code, Exception exception) {
        return exception instanceof FatalException fatal
            ? fatal
            : new FatalException(code, Outcome.of(exception).message(), exception);
    }

    /** Waits until something happened somewhere, or the time has come. An interrupt asks to stop. */
    void await(Deadline deadline) {
        try {
            wakeup.await(deadline);
        } catch (InterruptedException e) {
            interrupted = true;
            stop.request();
        }
    }
}
