package com.danube_messaging.connector;

import static com.danube_messaging.connector.SinkScript.record;
import static org.junit.jupiter.api.Assertions.assertEquals;

import com.danube_messaging.connector.examples.CountingSource;
import com.danube_messaging.connector.examples.HelloSink;
import com.danube_messaging.connector.examples.WebhookSource;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;

/** The README's connectors run. */
class ExampleConnectorsTest extends ConnectorTest {
    @Test
    void theSmallestSinkAnswersForItsRecords() throws Exception {
        start((Sink) new HelloSink());
        SinkScript session = sidecar.sink().opened();

        session.batch(record(1, "hello"), record(2, "Danube"));

        assertEquals(Map.of(1L, "written", 2L, "written"), session.answers(2));
    }

    @Test
    void theSmallestSourceResumesAndEnds() throws Throwable {
        Background run = start((PollingSource) new CountingSource());
        SourceScript session = sidecar.source().opened(new Position("numbers", 8));
        session.demand(100);

        assertEquals(List.of("number 9", "number 10"), session.records(2));
        session.expectDrained();
        session.commit(2);
        session.end();

        run.join();
    }

    @Test
    void aWebhookAnswersWhenItsRecordIsCommittedAnd429WithoutRoom() throws Exception {
        WebhookSource source = new WebhookSource(0);
        start((StreamingSource) source);
        SourceScript session = sidecar.source().opened();
        HttpClient client = HttpClient.newHttpClient();
        HttpRequest request = HttpRequest.newBuilder(URI.create("http://127.0.0.1:" + source.port()))
            .POST(HttpRequest.BodyPublishers.ofString("hook"))
            .build();
        assertEquals(429, client.send(request, HttpResponse.BodyHandlers.discarding()).statusCode());
        session.demand(1);
        session.expectSilence();

        CompletableFuture<HttpResponse<Void>> answer =
            client.sendAsync(request, HttpResponse.BodyHandlers.discarding());
        assertEquals(List.of("hook"), session.records(1));
        session.commit(1);

        assertEquals(204, answer.get(20, TimeUnit.SECONDS).statusCode());
    }
}
