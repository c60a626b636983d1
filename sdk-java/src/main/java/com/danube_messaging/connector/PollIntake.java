package com.danube_messaging.connector;

import java.lang.System.Logger.Level;
import java.time.Duration;
import java.util.List;
import java.util.Optional;

/** Records that come from polls. */
final class PollIntake implements Intake {
    private final Run run;
    private final PollingSource source;
    private final Duration interval;
    private final Outbox outbox;
    private final Backoff backoff = new Backoff();
    private final Quiet quiet = new Quiet();
    /** The poll that is going on, or null. */
    private ConnectorThread.Call<Optional<List<SourceRecord>>> poll;
    private Deadline notBefore = Deadline.now();
    private boolean hasEnded;

    PollIntake(Run run, PollingSource source, SourceOptions options, Outbox outbox) {
        this.run = run;
        this.source = source;
        interval = options.pollInterval();
        this.outbox = outbox;
    }

    @Override
    public void start() {}

    @Override
    public void settle() {
        if (poll == null || !poll.isDone()) {
            return;
        }
        var done = poll;
        poll = null;
        try {
            keep(done.result());
            backoff.reset();
        } catch (FatalException fatal) {
            throw fatal;
        } catch (Exception e) {
            failed(e);
        }
    }

    private void keep(Optional<List<SourceRecord>> records) {
        if (records == null) {
            throw new FatalException("POLL", "poll returned null: expected records, an empty list, or Optional.empty()");
        }
        if (records.isEmpty()) {
            hasEnded = true;
        } else if (records.get().isEmpty()) {
            notBefore = Deadline.in(interval);
        } else {
            outbox.add(records.get());
        }
    }

    private void failed(Exception exception) {
        Duration pause = backoff.next();
        if (exception instanceof RetryException retry && retry.after().isPresent()) {
            pause = retry.after().get();
        }
        notBefore = Deadline.in(pause);
        if (quiet.mayLog()) {
            Run.LOG.log(Level.WARNING, "a poll failed: it is called again", exception);
        }
    }

    @Override
    public void read() {
        if (notBefore.isOver() && !hasEnded && !run.thread().isBusy()) {
            poll = run.thread().call(source::poll);
        }
    }

    @Override
    public Deadline due() {
        return notBefore;
    }

    @Override
    public boolean isReading() {
        return poll != null;
    }

    @Override
    public boolean hasEnded() {
        return hasEnded;
    }
}
