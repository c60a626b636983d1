package com.danube_messaging.connector;

import com.danube_messaging.connector.v1.Drained;
import com.danube_messaging.connector.v1.Fault;
import com.danube_messaging.connector.v1.Health;
import com.danube_messaging.connector.v1.SchemaRef;
import com.danube_messaging.connector.v1.SinkBatch;
import com.danube_messaging.connector.v1.SinkRecord;
import com.danube_messaging.connector.v1.SinkServiceRunRequest;
import com.danube_messaging.connector.v1.SinkServiceRunResponse;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Collections;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Queue;

/** A sink's session: batches come, results go. */
final class SinkSession extends Session<SinkServiceRunRequest, SinkServiceRunResponse> {
    private final SinkDriver driver;
    private final Writer writer;
    private final Answers answers;
    private final Report report;
    private final long epoch;
    private final Map<SchemaRef, Schema> schemas = new HashMap<>();
    /** Batches that wait for the connector: the sidecar's window bounds them. */
    private final Queue<List<Record>> waiting = new ArrayDeque<>();
    /** Whether a batch of this session is being written. */
    private boolean isWriting;

    SinkSession(
            Run run,
            Wire<SinkServiceRunRequest, SinkServiceRunResponse> wire,
            SinkDriver driver,
            Writer writer,
            Answers answers,
            long epoch) {
        super(run, wire);
        this.driver = driver;
        this.writer = writer;
        this.answers = answers;
        this.report = answers.report();
        this.epoch = epoch;
    }

    @Override
    void take(SinkServiceRunResponse frame) throws SessionLost {
        switch (frame.getFrameCase()) {
            case BATCH -> take(frame.getBatch());
            case SCHEMA -> schemas.put(frame.getSchema().getRef(), new Schema(frame.getSchema()));
            case PROBE -> probed(frame.getProbe().getProbeId());
            case DRAIN -> drain();
            case OPENED -> throw SessionLost.protocol("it sent `opened` twice");
            case FRAME_NOT_SET -> Run.LOG.log(System.Logger.Level.DEBUG, "the sidecar sent a frame of a later version");
        }
    }

    /** Who was asked to stop takes nothing new: the sidecar offers it again. */
    private void take(SinkBatch batch) {
        if (run().stop().isRequested()) {
            return;
        }
        List<Record> records = new ArrayList<>(batch.getRecordsCount());
        for (SinkRecord record : batch.getRecordsList()) {
            records.add(new Record(record, epoch, record.hasSchema() ? schemas.get(record.getSchema()) : null));
        }
        if (!records.isEmpty()) {
            answers.received(records.get(records.size() - 1).deliveryId());
        }
        waiting.add(Collections.unmodifiableList(records));
    }

    @Override
    boolean turn() {
        boolean isOpen = run().isOpen();
        boolean goesOn = driver.isWriting();
        if (isWriting && !goesOn) {
            isWriting = false;
            settle();
        }
        if (report.due().isOver()) {
            settle();
        }
        boolean isIdle = !isWriting && waiting.isEmpty();
        if (run().stop().isRequested() && (isIdle || run().stop().isOverdue())) {
            return true;
        }
        if (isDraining() && isIdle) {
            sayDrained();
        }
        if (isOpen && !isWriting && !waiting.isEmpty() && driver.write(writer, waiting.peek())) {
            waiting.remove();
            isWriting = true;
        }
        return false;
    }

    @Override
    Deadline due() {
        return report.due();
    }

    @Override
    void settle() {
        report.take().forEach(results -> wire().send(SinkServiceRunRequest.newBuilder().setResults(results).build()));
    }

    @Override
    SinkServiceRunRequest frame(Health health) {
        return SinkServiceRunRequest.newBuilder().setHealth(health).build();
    }

    @Override
    SinkServiceRunRequest frame(Fault fault) {
        return SinkServiceRunRequest.newBuilder().setFault(fault).build();
    }

    @Override
    SinkServiceRunRequest drained() {
        return SinkServiceRunRequest.newBuilder().setDrained(Drained.getDefaultInstance()).build();
    }
}
