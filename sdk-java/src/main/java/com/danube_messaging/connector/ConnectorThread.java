package com.danube_messaging.connector;

import java.util.concurrent.Callable;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.FutureTask;
import java.util.concurrent.TimeUnit;

/**
 * The thread on which a connector is called: only one call at a time, whatever becomes of sessions. The thread that runs the
 * connector reads frames and answers probes meanwhile.
 */
final class ConnectorThread {
    private final ExecutorService executor;
    private final Wakeup wakeup;
    /** The last call, or null. */
    private Call<?> last;

    ConnectorThread(String name, Wakeup wakeup) {
        this.wakeup = wakeup;
        executor = Executors.newSingleThreadExecutor(task -> daemon(name, task));
    }

    /** A thread that does not keep the JVM alive: {@code run} does. */
    static Thread daemon(String name, Runnable task) {
        Thread thread = new Thread(task, name);
        thread.setDaemon(true);
        return thread;
    }

    /** Whether a call is going on. */
    boolean isBusy() {
        return last != null && !last.isDone();
    }

    /** Begins a call; the running thread is woken at its end. */
    <T> Call<T> call(Callable<T> body) {
        if (isBusy()) {
            throw new IllegalStateException("a connector is called once at a time");
        }
        Call<T> call = new Call<>(body, wakeup);
        last = call;
        executor.execute(call);
        return call;
    }

    /** Interrupts the call that is going on, if any, and lets the thread end. */
    void interrupt() {
        executor.shutdownNow();
    }

    /** Lets the thread end after its last call. */
    void end() {
        executor.shutdown();
    }

    /** One call of the connector. */
    static final class Call<T> extends FutureTask<T> {
        private final Wakeup wakeup;

        Call(Callable<T> body, Wakeup wakeup) {
            super(body);
            this.wakeup = wakeup;
        }

        @Override
        protected void done() {
            wakeup.wake();
        }

        /**
         * What a call that is done returned.
         *
         * @throws Exception what it threw; a {@code FatalException} for a {@code java.lang.Error}
         */
        T result() throws Exception {
            try {
                return get(0, TimeUnit.SECONDS);
            } catch (ExecutionException e) {
                if (e.getCause() instanceof Exception exception) {
                    throw exception;
                }
                throw new FatalException("ERROR", e.getCause().toString(), e.getCause());
            }
        }
    }
}
