package com.danube_messaging.connector;

import com.danube_messaging.connector.v1.Drained;
import com.danube_messaging.connector.v1.Fault;
import com.danube_messaging.connector.v1.Health;
import com.danube_messaging.connector.v1.SourceRecords;
import com.danube_messaging.connector.v1.SourceRejected;
import com.danube_messaging.connector.v1.SourceServiceRunRequest;
import com.danube_messaging.connector.v1.SourceServiceRunResponse;
import java.lang.System.Logger.Level;
import java.util.Optional;

/** A source's session: demand and commits come, records go. */
final class SourceSession extends Session<SourceServiceRunRequest, SourceServiceRunResponse> {
    private final SourceDriver driver;
    private final Outbox outbox;

    SourceSession(Run run, Wire<SourceServiceRunRequest, SourceServiceRunResponse> wire, SourceDriver driver) {
        super(run, wire);
        this.driver = driver;
        outbox = driver.outbox();
    }

    @Override
    void take(SourceServiceRunResponse frame) throws SessionLost {
        switch (frame.getFrameCase()) {
            case DEMAND -> outbox.demand(frame.getDemand());
            case COMMITTED -> driver.notices().committed(outbox.commit(frame.getCommitted().getNumber()));
            case REJECTED -> rejected(frame.getRejected());
            case PROBE -> probed(frame.getProbe().getProbeId());
            case DRAIN -> {
                drain();
                outbox.close();
            }
            case OPENED -> throw SessionLost.protocol("it sent `opened` twice");
            case FRAME_NOT_SET -> Run.LOG.log(Level.DEBUG, "the sidecar sent a frame of a later version");
        }
    }

    private void rejected(SourceRejected rejected) {
        Optional<OutboxEntry> entry = outbox.sent(rejected.getNumber());
        Run.LOG.log(
            Level.WARNING,
            "{0} can never be published: {1}, {2}",
            entry.map(one -> one.record().toString()).orElse("record " + Long.toUnsignedString(rejected.getNumber())),
            rejected.getCode(),
            rejected.getMessage());
        entry.ifPresent(one -> driver.notices().rejected(one, rejected.getCode(), rejected.getMessage()));
    }

    @Override
    boolean turn() {
        boolean isDone = driver.isDone();
        send();
        if (isDone) {
            return true;
        }
        if (isDraining() || driver.hasSentAll()) {
            sayDrained();
        }
        if (!isDraining() && driver.mayRead()) {
            driver.intake().read();
        }
        return false;
    }

    /** Sends what demand allows, as far as the stream takes it: the rest waits in the outbox. */
    private void send() {
        while (!isDraining() && !saidDrained() && wire().isReady()) {
            Optional<SourceRecords> records = nextFrame();
            if (records.isEmpty()) {
                return;
            }
            wire().send(SourceServiceRunRequest.newBuilder().setRecords(records.get()).build());
        }
    }

    private Optional<SourceRecords> nextFrame() {
        try {
            return outbox.nextFrame();
        } catch (RecordTooLargeException e) {
            throw new FatalException(e.code(), e.getMessage(), e);
        }
    }

    @Override
    Deadline due() {
        return !isDraining() && driver.mayRead() ? driver.intake().due() : Deadline.NEVER;
    }

    /** What is known of the records in hand, the sidecar knows. */
    @Override
    void settle() {}

    @Override
    SourceServiceRunRequest frame(Health health) {
        return SourceServiceRunRequest.newBuilder().setHealth(health).build();
    }

    @Override
    SourceServiceRunRequest frame(Fault fault) {
        return SourceServiceRunRequest.newBuilder().setFault(fault).build();
    }

    @Override
    SourceServiceRunRequest drained() {
        return SourceServiceRunRequest.newBuilder().setDrained(Drained.getDefaultInstance()).build();
    }
}
