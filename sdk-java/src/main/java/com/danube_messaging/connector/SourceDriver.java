package com.danube_messaging.connector;

import com.danube_messaging.connector.v1.SourceOpened;
import com.danube_messaging.connector.v1.SourceServiceGrpc;
import com.danube_messaging.connector.v1.SourceServiceRunRequest;
import com.danube_messaging.connector.v1.SourceServiceRunResponse;
import java.lang.System.Logger.Level;
import java.util.List;
import java.util.Optional;

/** Runs a source: where its records come from, those that are not committed, and what it has to be told outlive sessions. */
final class SourceDriver implements Driver {
    private final Run run;
    private final Source source;
    private final SourceOptions options;
    private final Outbox outbox;
    private final Intake intake;
    private final Notices notices;
    private boolean isStarted;

    SourceDriver(Run run, Source source, SourceOptions options, Outbox outbox, Intake intake) {
        this.run = run;
        this.source = source;
        this.options = options;
        this.outbox = outbox;
        this.intake = intake;
        notices = new Notices(run, source, outbox);
    }

    Outbox outbox() {
        return outbox;
    }

    Notices notices() {
        return notices;
    }

    @Override
    public void session(Reconnect reconnect) throws SessionLost {
        SourceServiceRunRequest open = SourceServiceRunRequest.newBuilder().setOpen(Frames.open(options)).build();
        var wire = new Wire<>(run, SourceServiceGrpc.getRunMethod(), open, true);
        try {
            Optional<SourceServiceRunResponse> first = wire.first(this::isDone);
            if (first.isPresent()) {
                if (!first.get().hasOpened()) {
                    throw SessionLost.protocol("its first frame is not `opened`");
                }
                Optional<SourceOpened> opened = withPages(wire, first.get().getOpened());
                if (opened.isPresent()) {
                    reconnect.opened(opened.get().getSessionId());
                    open(opened.get());
                    new SourceSession(run, wire, this).serve();
                }
            }
        } finally {
            outbox.close();
            wire.close();
        }
    }

    /** `opened` with the positions that did not fit into it; empty if nobody waits for it any more. */
    private Optional<SourceOpened> withPages(
        Wire<SourceServiceRunRequest, SourceServiceRunResponse> wire, SourceOpened first) throws SessionLost {
        SourceOpened.Builder opened = first.toBuilder();
        boolean more = first.getMorePositions();
        while (more) {
            Optional<SourceServiceRunResponse> next = wire.first(this::isDone);
            if (next.isEmpty()) {
                return Optional.empty();
            }
            if (!next.get().hasPositions()) {
                throw SessionLost.protocol("positions were to follow");
            }
            opened.addAllPositions(next.get().getPositions().getPositionsList());
            more = next.get().getPositions().getMore();
        }
        return Optional.of(opened.build());
    }

    private void open(SourceOpened opened) {
        List<Position> positions = opened.getPositionsList().stream().map(Frames::position).toList();
        run.open(() -> {
            run.connector().open(Settings.parse(opened.getSettingsJson()));
            source.restore(positions);
            return null;
        });
        long limit = opened.getLimits().getMaxInboundFrameBytes();
        boolean isNamed = limit > 0 && limit <= Integer.MAX_VALUE;
        notices.committed(outbox.open(positions, isNamed ? (int) limit : Outbox.DEFAULT_LIMIT));
    }

    /**
     * Takes in what the connector brought, and tells it what it has to know.
     *
     * @throws FatalException if the connector cannot go on
     */
    private void tend() {
        if (run.isOpen() && !isStarted && !run.stop().isRequested()) {
            isStarted = true;
            intake.start();
        }
        intake.settle();
        notices.turn();
    }

    /** Whether no more records will be read: only what is here is left to be sent and committed. */
    boolean isFinishing() {
        return run.stop().isRequested() || intake.hasEnded();
    }

    /** Whether all that will ever be sent is. */
    boolean hasSentAll() {
        return isFinishing() && !intake.isReading() && outbox.isSent();
    }

    @Override
    public boolean isDone() {
        tend();
        return run.stop().isOverdue() || (!needsSession() && notices.isIdle());
    }

    @Override
    public boolean needsSession() {
        return !hasSentAll() || !outbox.isEmpty();
    }

    /** Whether the connector may be asked for records. */
    boolean mayRead() {
        return isStarted && !isFinishing() && !intake.isReading() && notices.isIdle() && outbox.wantsMore();
    }

    Intake intake() {
        return intake;
    }

    @Override
    public void end() {
        notices.end();
        List<OutboxEntry> left = outbox.abandon();
        if (!left.isEmpty()) {
            Run.LOG.log(
                Level.WARNING, "{0} records are not committed: they are read again at the next start", left.size());
            left.forEach(entry -> entry.committed().completeExceptionally(new SourceStoppedException()));
        }
    }
}
