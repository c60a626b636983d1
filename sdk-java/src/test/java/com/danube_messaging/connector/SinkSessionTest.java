package com.danube_messaging.connector;

import static com.danube_messaging.connector.SinkScript.record;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.danube_messaging.connector.v1.Capability;
import com.danube_messaging.connector.v1.Health;
import com.danube_messaging.connector.v1.SchemaRef;
import com.danube_messaging.connector.v1.SinkOpen;
import com.danube_messaging.connector.v1.SinkServiceRunResponse;
import io.grpc.Status;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.Queue;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.Test;

/** How a sink's session begins, is lived and ends. */
class SinkSessionTest extends ConnectorTest {
    /** Waits at the records that say so, and remembers its life. */
    private static final class Watched implements Sink {
        final Queue<String> life = new ConcurrentLinkedQueue<>();
        final CountDownLatch begun = new CountDownLatch(1);
        final CountDownLatch release = new CountDownLatch(1);
        final AtomicInteger concurrent = new AtomicInteger();
        final AtomicBoolean overlapped = new AtomicBoolean();
        volatile boolean isSick;

        @Override
        public void open(Settings settings) {
            life.add("open " + settings.text("table").orElse("-"));
        }

        @Override
        public void process(Record record) throws InterruptedException {
            overlapped.compareAndSet(false, concurrent.incrementAndGet() > 1);
            try {
                life.add(record.text());
                if (record.text().equals("slow")) {
                    begun.countDown();
                    release.await();
                }
            } finally {
                concurrent.decrementAndGet();
            }
        }

        @Override
        public void health() {
            if (isSick) {
                throw new IllegalStateException("no disk");
            }
        }

        @Override
        public void close() {
            life.add("close");
        }
    }

    private final Watched sink = new Watched();

    @Test
    void openSaysWhatWasSetAndNothingElse() throws Exception {
        start(Connectors.runner(sink, sinkOptions()
            .subscriptions(Subscription.of("/default/t").withType(SubscriptionType.SHARED).withName("s"))
            .windowRecords(10)
            .linger(Duration.ofMillis(20))
            .ordering(Ordering.PARTITION)
            .retry(new RetrySettings(5, null, Duration.ofSeconds(9)))
            .build()));

        SinkOpen open = sidecar.sink().open();

        assertEquals("under-test", open.getConnector());
        assertEquals(1, open.getMinProtocolVersion());
        assertEquals(1, open.getMaxProtocolVersion());
        assertEquals(
            List.of(Capability.CAPABILITY_PROBE, Capability.CAPABILITY_DRAIN, Capability.CAPABILITY_SCHEMA),
            open.getCapabilitiesList());
        assertTrue(open.getSdk().startsWith("danube-connector-java/"));
        assertEquals("s", open.getSubscriptions(0).getSubscription());
        assertEquals(10, open.getWindowRecords());
        assertEquals(0, open.getMaxBatchRecords());
        assertEquals(Duration.ofMillis(20), Frames.duration(open.getLinger()));
        assertEquals(com.danube_messaging.connector.v1.Ordering.ORDERING_PARTITION, open.getOrdering());
        assertEquals(5, open.getRetry().getMaxRetries());
        assertTrue(!open.getRetry().hasInitialBackoff());
    }

    @Test
    void theConnectorIsOpenedOnceWithItsSettingsAndClosedOnce() throws Throwable {
        Background run = start(sink);
        SinkScript first = sidecar.sink().opened("{\"table\": \"orders\"}");
        first.batch(record(1, "a"));
        first.answers(1);
        first.end();
        SinkScript second = sidecar.sink().opened("{\"table\": \"other\"}");
        second.batch(record(1, "b"));
        second.answers(1);

        run.stop();
        second.expectDrained();
        second.expectEnd();
        second.end();
        run.join();

        assertEquals(List.of("open orders", "a", "b", "close"), List.copyOf(sink.life));
    }

    @Test
    void anErrorInOpenIsToldAndEndsTheRun() throws Exception {
        Background run = start(new Sink() {
            @Override
            public void open(Settings settings) {
                throw new IllegalStateException("no such table");
            }

            @Override
            public void process(Record record) {}
        });
        SinkScript session = sidecar.sink().opened();

        assertEquals("no such table", session.next().getFault().getMessage());
        session.end();
        FatalException failure = assertThrows(FatalException.class, run::join);
        assertEquals("OPEN_FAILED", failure.code());
    }

    @Test
    void aProbeIsAnsweredWhileARecordIsBeingWritten() throws Exception {
        start(sink);
        SinkScript session = sidecar.sink().opened();
        session.batch(record(1, "slow"));
        Eventually.happened(sink.begun, "the record");

        session.probe(42);
        Health well = session.health();
        sink.isSick = true;
        session.probe(43);
        Health sick = session.health();
        sink.release.countDown();

        assertEquals(42, well.getProbeId());
        assertEquals(Health.Status.STATUS_HEALTHY, well.getStatus());
        assertTrue(well.getChecked());
        assertEquals(43, sick.getProbeId());
        assertEquals(Health.Status.STATUS_UNHEALTHY, sick.getStatus());
        assertEquals("no disk", sick.getMessage());
        assertEquals(Map.of(1L, "written"), session.answers(1));
    }

    @Test
    void aHealthCheckThatHangsIsUnhealthy() throws Exception {
        start(new Sink() {
            @Override
            public void process(Record record) {}

            @Override
            public void health() throws InterruptedException {
                new CountDownLatch(1).await();
            }
        });
        SinkScript session = sidecar.sink().opened();
        session.batch(record(1, "so that it is open"));
        session.answers(1);

        session.probe(1);

        assertEquals(Health.Status.STATUS_UNHEALTHY, session.health().getStatus());
    }

    @Test
    void aDrainFinishesWhatIsInHandAndThenAnotherSessionIsOpened() throws Exception {
        start(sink);
        SinkScript session = sidecar.sink().opened();
        session.batch(record(1, "slow"));
        session.batch(record(2, "next"));
        Eventually.happened(sink.begun, "the record");
        session.drain();
        session.expectSilence();
        sink.release.countDown();

        assertEquals(Map.of(1L, "written", 2L, "written"), session.answers(2));
        session.expectDrained();
        session.expectSilence();
        session.end();
        sidecar.sink().opened();
    }

    @Test
    void aStopFinishesWhatIsInHandAndTakesNothingNew() throws Throwable {
        Background run = start(sink);
        SinkScript session = sidecar.sink().opened();
        session.batch(record(1, "slow"), record(2, "next"));
        Eventually.happened(sink.begun, "the record");
        session.expectSilence();

        run.stop();
        session.batch(record(3, "new"));
        session.expectSilence();
        sink.release.countDown();

        assertEquals(Map.of(1L, "written", 2L, "written"), session.answers(2));
        session.expectDrained();
        session.expectEnd();
        session.end();
        run.join();
        assertEquals(List.of("open -", "slow", "next", "close"), List.copyOf(sink.life));
    }

    @Test
    void aStopWaitsNoLongerThanItIsTold() throws Throwable {
        Background run = start(Connectors.runner(sink, sinkOptions().drainTimeout(Duration.ofMillis(50)).build()));
        SinkScript session = sidecar.sink().opened();
        session.batch(record(1, "slow"), record(2, "next"));
        Eventually.happened(sink.begun, "the record");

        run.stop();
        session.expectDrained();
        session.expectEnd();
        session.end();
        run.join();

        assertEquals(List.of("open -", "slow", "close"), List.copyOf(sink.life));
    }

    @Test
    void resultsOfALostSessionAreNotSentInTheNextOneAndCallsDoNotOverlap() throws Exception {
        start(sink);
        SinkScript first = sidecar.sink().opened();
        first.batch(record(1, "slow"), record(2, "dropped"));
        first.batch(record(3, "dropped"));
        Eventually.happened(sink.begun, "the record");
        first.fail(Status.UNAVAILABLE);

        SinkScript second = sidecar.sink().opened();
        second.batch(record(9, "again"));
        second.expectSilence();
        sink.release.countDown();

        assertEquals(Map.of(9L, "written"), second.answers(1));
        second.expectSilence();
        assertEquals(List.of("open -", "slow", "again"), List.copyOf(sink.life));
        assertTrue(!sink.overlapped.get());
    }

    @Test
    void aStopWithoutASessionClosesTheConnector() throws Throwable {
        Background run = start(sink);
        sidecar.sink().open();

        run.stop();
        run.join();

        assertEquals(List.of("close"), List.copyOf(sink.life));
    }

    @Test
    void aRecordOffersItsSchemaAndEverythingElse() throws Exception {
        Queue<Record> records = new ConcurrentLinkedQueue<>();
        start((Record record) -> records.add(record));
        SinkScript session = sidecar.sink().opened();
        var ref = SchemaRef.newBuilder().setSchemaId(3).setVersion(2);
        session.send(SinkServiceRunResponse.newBuilder()
            .setSchema(com.danube_messaging.connector.v1.Schema.newBuilder().setRef(ref).setSubject("orders").setType("avro"))
            .build());

        session.batch(record(1, "{\"id\": 5}").toBuilder()
            .setSchema(ref)
            .setDedupId("d")
            .setKey("k")
            .setOffset(8)
            .setPublishTimeMs(1000)
            .putAttributes("a", "b")
            .build());
        session.answers(1);

        Record record = records.remove();
        assertEquals("orders", record.schema().orElseThrow().subject());
        assertEquals(2, record.schema().orElseThrow().version());
        assertEquals(5, record.json().getAsJsonObject().get("id").getAsInt());
        assertEquals("d", record.dedupId());
        assertEquals("k", record.key().orElseThrow());
        assertEquals(Map.of("a", "b"), record.attributes());
        assertEquals(1000, record.publishTime().toEpochMilli());
        assertEquals(7, record.epoch());
        assertTrue(!record.toString().contains("id"), "a record's text has no payload");
    }

    @Test
    void framesOfALaterVersionAreIgnored() throws Exception {
        start(sink);
        SinkScript session = sidecar.sink().opened();

        session.send(SinkServiceRunResponse.getDefaultInstance());
        session.batch(record(1, "a"));

        assertEquals(Map.of(1L, "written"), session.answers(1));
    }
}
