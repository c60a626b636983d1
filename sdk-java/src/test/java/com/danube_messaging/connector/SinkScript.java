package com.danube_messaging.connector;

import static org.junit.jupiter.api.Assertions.assertTrue;

import com.danube_messaging.connector.v1.DeliveryRange;
import com.danube_messaging.connector.v1.Drain;
import com.danube_messaging.connector.v1.Health;
import com.danube_messaging.connector.v1.Probe;
import com.danube_messaging.connector.v1.SinkBatch;
import com.danube_messaging.connector.v1.SinkFailure;
import com.danube_messaging.connector.v1.SinkOpen;
import com.danube_messaging.connector.v1.SinkOpened;
import com.danube_messaging.connector.v1.SinkRecord;
import com.danube_messaging.connector.v1.SinkResults;
import com.danube_messaging.connector.v1.SinkServiceRunRequest;
import com.danube_messaging.connector.v1.SinkServiceRunResponse;
import com.google.protobuf.ByteString;
import io.grpc.stub.StreamObserver;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;

/** A sink's session, played by a test. */
final class SinkScript extends Script<SinkServiceRunRequest, SinkServiceRunResponse> {
    SinkScript(StreamObserver<SinkServiceRunResponse> down) {
        super(down);
    }

    SinkOpen open() throws InterruptedException {
        SinkServiceRunRequest frame = next();
        assertTrue(frame.hasOpen(), () -> "`open` comes first, it came: " + frame);
        return frame.getOpen();
    }

    /** Answers `open`. */
    SinkScript opened(String settings) throws InterruptedException {
        open();
        send(SinkServiceRunResponse.newBuilder()
            .setOpened(SinkOpened.newBuilder().setSessionId("s").setEpoch(7).setProtocolVersion(1).setSettingsJson(settings))
            .build());
        return this;
    }

    SinkScript opened() throws InterruptedException {
        return opened("{}");
    }

    void batch(SinkRecord... records) {
        send(SinkServiceRunResponse.newBuilder().setBatch(SinkBatch.newBuilder().addAllRecords(List.of(records))).build());
    }

    @Override
    long probeAnswered(SinkServiceRunRequest frame) {
        return frame.getHealth().getProbeId();
    }

    @Override
    void probe(long id) {
        send(SinkServiceRunResponse.newBuilder().setProbe(Probe.newBuilder().setProbeId(id)).build());
    }

    void drain() {
        send(SinkServiceRunResponse.newBuilder().setDrain(Drain.getDefaultInstance()).build());
    }

    SinkResults results() throws InterruptedException {
        SinkServiceRunRequest frame = next();
        assertTrue(frame.hasResults(), () -> "results were expected, it came: " + frame);
        return frame.getResults();
    }

    Health health() throws InterruptedException {
        SinkServiceRunRequest frame = next();
        assertTrue(frame.hasHealth(), () -> "health was expected, it came: " + frame);
        return frame.getHealth();
    }

    void expectDrained() throws InterruptedException {
        SinkServiceRunRequest frame = next();
        assertTrue(frame.hasDrained(), () -> "`drained` was expected, it came: " + frame);
    }

    /** What became of so many records, however their answers were grouped: each has exactly one. */
    Map<Long, String> answers(int records) throws InterruptedException {
        Map<Long, String> answers = new TreeMap<>();
        while (answers.size() < records) {
            SinkResults results = results();
            for (DeliveryRange range : results.getAckedList()) {
                for (long id = range.getFirst(); id <= range.getLast(); id++) {
                    put(answers, id, "written");
                }
            }
            for (SinkFailure failure : results.getFailuresList()) {
                String outcome = failure.getOutcome().name().substring("OUTCOME_".length());
                put(answers, failure.getDeliveryId(), outcome + " " + failure.getCode());
            }
        }
        return answers;
    }

    private static void put(Map<Long, String> answers, long id, String answer) {
        assertTrue(answers.put(id, answer) == null, () -> "record " + id + " was answered twice");
    }

    static SinkRecord record(long id, String payload) {
        return keyed(id, null, 1, payload);
    }

    static SinkRecord keyed(long id, String key, int attempt, String payload) {
        SinkRecord.Builder record = SinkRecord.newBuilder()
            .setDeliveryId(id)
            .setAttempt(attempt)
            .setTopic("/default/t")
            .setPartitionTopic("/default/t")
            .setPayload(ByteString.copyFromUtf8(payload));
        if (key != null) {
            record.setKey(key);
        }
        return record.build();
    }
}
