package com.danube_messaging.connector;

import com.danube_messaging.connector.v1.SinkServiceGrpc;
import com.danube_messaging.connector.v1.SinkServiceRunRequest;
import com.danube_messaging.connector.v1.SinkServiceRunResponse;
import java.util.List;
import java.util.Optional;

/** Runs a sink: what outlives sessions is the call that is going on. */
final class SinkDriver implements Driver {
    private final Run run;
    private final SinkOptions options;
    private final Writer.Factory writers;
    private final Quiet quiet = new Quiet();
    private final Pause pause = new Pause();
    /** The last call of the connector, of this or an earlier session; null when its end was seen. */
    private ConnectorThread.Call<Void> writing;

    SinkDriver(Run run, SinkOptions options, Writer.Factory writers) {
        this.run = run;
        this.options = options;
        this.writers = writers;
    }

    @Override
    public boolean isDone() {
        isWriting();
        boolean isIdle = !run.thread().isBusy();
        return run.stop().isRequested() && (isIdle || run.stop().isOverdue());
    }

    @Override
    public boolean needsSession() {
        return !run.stop().isRequested();
    }

    @Override
    public void session(Reconnect reconnect) throws SessionLost {
        SinkServiceRunRequest open = SinkServiceRunRequest.newBuilder().setOpen(Frames.open(options)).build();
        var wire = new Wire<>(run, SinkServiceGrpc.getRunMethod(), open, false);
        try {
            Optional<SinkServiceRunResponse> first = wire.first(this::isDone);
            if (first.isPresent()) {
                if (!first.get().hasOpened()) {
                    throw SessionLost.protocol("its first frame is not `opened`");
                }
                var opened = first.get().getOpened();
                reconnect.opened(opened.getSessionId());
                open(opened.getSettingsJson());
                serve(wire, opened.getEpoch());
            }
        } finally {
            wire.close();
        }
    }

    private void open(String settings) {
        run.open(() -> {
            run.connector().open(Settings.parse(settings));
            return null;
        });
    }

    private void serve(Wire<SinkServiceRunRequest, SinkServiceRunResponse> wire, long epoch) throws SessionLost {
        Report report = new Report(run.wakeup());
        Answers answers = new Answers(report, quiet, pause);
        try {
            new SinkSession(run, wire, this, writers.apply(answers), answers, epoch).serve();
        } finally {
            answers.abandon();
        }
    }

    /** Begins to write a batch, unless the connector is still at one of an earlier session. Returns whether it does. */
    boolean write(Writer writer, List<Record> batch) {
        if (run.thread().isBusy()) {
            return false;
        }
        writing = run.thread().call(() -> {
            writer.write(batch);
            return null;
        });
        return true;
    }

    /**
     * Whether a batch is being written, of this or an earlier session.
     *
     * @throws FatalException if the connector turned out to be unable to go on
     */
    boolean isWriting() {
        if (writing == null) {
            return false;
        }
        if (!writing.isDone()) {
            return true;
        }
        var done = writing;
        writing = null;
        try {
            done.result();
        } catch (Exception e) {
            throw Run.fatal(Outcome.EXCEPTION, e);
        }
        return false;
    }
}
