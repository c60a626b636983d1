package com.danube_messaging.connector;

import java.lang.System.Logger.Level;
import java.util.concurrent.RejectedExecutionException;

/** Records that the connector emits, on a thread of its own. */
final class StreamIntake implements Intake {
    private final Run run;
    private final StreamingSource source;
    private final Outbox outbox;
    private final ConnectorThread thread;
    /** The call of {@code stream} that is going on, or null. */
    private ConnectorThread.Call<Void> stream;
    private boolean hasEnded;

    StreamIntake(Run run, StreamingSource source, Outbox outbox) {
        this.run = run;
        this.source = source;
        this.outbox = outbox;
        thread = new ConnectorThread("danube-stream-" + run.options().connector(), run.wakeup());
        run.stop().whenRequested(() -> {
            outbox.stop();
            thread.interrupt();
        });
    }

    @Override
    public void start() {
        try {
            stream = thread.call(this::stream);
        } catch (RejectedExecutionException e) {
            // The stop came first.
            hasEnded = true;
        }
    }

    private Void stream() throws Exception {
        try {
            source.stream(outbox);
        } finally {
            outbox.stop();
        }
        return null;
    }

    @Override
    public void settle() {
        if (stream == null || !stream.isDone()) {
            return;
        }
        var done = stream;
        stream = null;
        hasEnded = true;
        thread.end();
        try {
            done.result();
        } catch (FatalException fatal) {
            throw fatal;
        } catch (Exception e) {
            ended(e);
        }
    }

    /** An exception is the usual way out of a stream that was interrupted; else it is a failure. */
    private void ended(Exception exception) {
        if (!run.stop().isRequested()) {
            throw Run.fatal(Outcome.EXCEPTION, exception);
        }
        Run.LOG.log(Level.DEBUG, "the stream ended with the stop", exception);
    }

    /** Nobody has to ask. */
    @Override
    public void read() {}

    @Override
    public Deadline due() {
        return Deadline.NEVER;
    }

    @Override
    public boolean isReading() {
        return stream != null;
    }

    @Override
    public boolean hasEnded() {
        return hasEnded;
    }
}
