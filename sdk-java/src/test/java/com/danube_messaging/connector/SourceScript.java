package com.danube_messaging.connector;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.danube_messaging.connector.v1.Drain;
import com.danube_messaging.connector.v1.Limits;
import com.danube_messaging.connector.v1.Probe;
import com.danube_messaging.connector.v1.SourceCommitted;
import com.danube_messaging.connector.v1.SourceDemand;
import com.danube_messaging.connector.v1.SourceOpen;
import com.danube_messaging.connector.v1.SourceOpened;
import com.danube_messaging.connector.v1.SourcePositions;
import com.danube_messaging.connector.v1.SourceRecords;
import com.danube_messaging.connector.v1.SourceRejected;
import com.danube_messaging.connector.v1.SourceServiceRunRequest;
import com.danube_messaging.connector.v1.SourceServiceRunResponse;
import io.grpc.stub.StreamObserver;
import java.util.ArrayList;
import java.util.List;

/** A source's session, played by a test. */
final class SourceScript extends Script<SourceServiceRunRequest, SourceServiceRunResponse> {
    private long lastNumber;

    SourceScript(StreamObserver<SourceServiceRunResponse> down) {
        super(down);
    }

    SourceOpen open() throws InterruptedException {
        SourceServiceRunRequest frame = next();
        assertTrue(frame.hasOpen(), () -> "`open` comes first, it came: " + frame);
        return frame.getOpen();
    }

    /** Answers `open`. */
    SourceScript opened(Position... positions) throws InterruptedException {
        return opened(4 << 20, positions);
    }

    /** Answers `open`, with each position in a frame of its own. */
    SourceScript openedInPages(Position first, Position... others) throws InterruptedException {
        open();
        SourceOpened.Builder opened = opened(4 << 20).addPositions(Frames.position(first)).setMorePositions(true);
        send(SourceServiceRunResponse.newBuilder().setOpened(opened).build());
        for (int index = 0; index < others.length; index++) {
            SourcePositions.Builder page = SourcePositions.newBuilder()
                .addPositions(Frames.position(others[index]))
                .setMore(index + 1 < others.length);
            send(SourceServiceRunResponse.newBuilder().setPositions(page).build());
        }
        return this;
    }

    SourceScript opened(long limit, Position... positions) throws InterruptedException {
        open();
        SourceOpened.Builder opened = opened(limit);
        for (Position position : positions) {
            opened.addPositions(Frames.position(position));
        }
        send(SourceServiceRunResponse.newBuilder().setOpened(opened).build());
        return this;
    }

    private static SourceOpened.Builder opened(long limit) {
        return SourceOpened.newBuilder()
            .setSessionId("s")
            .setEpoch(7)
            .setProtocolVersion(1)
            .setLimits(Limits.newBuilder().setMaxInboundFrameBytes(limit))
            .setSettingsJson("{}");
    }

    /** Allows so many records since the session opened, and as many bytes as they like. */
    void demand(long records) {
        demand(records, 1L << 40);
    }

    void demand(long records, long bytes) {
        send(SourceServiceRunResponse.newBuilder()
            .setDemand(SourceDemand.newBuilder().setRecords(records).setBytes(bytes))
            .build());
    }

    void commit(long number) {
        send(SourceServiceRunResponse.newBuilder().setCommitted(SourceCommitted.newBuilder().setNumber(number)).build());
    }

    void reject(long number, String code) {
        send(SourceServiceRunResponse.newBuilder()
            .setRejected(SourceRejected.newBuilder().setNumber(number).setCode(code).setMessage("told to"))
            .build());
    }

    @Override
    long probeAnswered(SourceServiceRunRequest frame) {
        return frame.getHealth().getProbeId();
    }

    @Override
    void probe(long id) {
        send(SourceServiceRunResponse.newBuilder().setProbe(Probe.newBuilder().setProbeId(id)).build());
    }

    void drain() {
        send(SourceServiceRunResponse.newBuilder().setDrain(Drain.getDefaultInstance()).build());
    }

    /** The next frame of records; its number follows the last one. */
    SourceRecords frame() throws InterruptedException {
        SourceServiceRunRequest frame = next();
        assertTrue(frame.hasRecords(), () -> "records were expected, it came: " + frame);
        assertEquals(lastNumber + 1, frame.getRecords().getFirstNumber(), "numbers have no holes");
        assertTrue(frame.getRecords().getRecordsCount() > 0, "a frame is never empty");
        lastNumber += frame.getRecords().getRecordsCount();
        return frame.getRecords();
    }

    /** The payloads of exactly so many records, however they were grouped. */
    List<String> records(int count) throws InterruptedException {
        List<String> payloads = new ArrayList<>();
        while (payloads.size() < count) {
            frame().getRecordsList().forEach(record -> payloads.add(record.getPayload().toStringUtf8()));
        }
        assertEquals(count, payloads.size(), "no more than " + count + " records were expected");
        return payloads;
    }

    void expectDrained() throws InterruptedException {
        SourceServiceRunRequest frame = next();
        assertTrue(frame.hasDrained(), () -> "`drained` was expected, it came: " + frame);
    }
}
