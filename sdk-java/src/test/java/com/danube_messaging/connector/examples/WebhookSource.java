package com.danube_messaging.connector.examples;

import com.danube_messaging.connector.Emitter;
import com.danube_messaging.connector.SourceRecord;
import com.danube_messaging.connector.SourceStoppedException;
import com.danube_messaging.connector.StreamingSource;
import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CountDownLatch;

/** A source that is pushed to: answers a POST when its body is safe in Danube, and 429 while there is no room. */
public class WebhookSource implements StreamingSource {
    private final HttpServer server;

    public WebhookSource(int port) throws IOException {
        server = HttpServer.create(new InetSocketAddress(InetAddress.getLoopbackAddress(), port), 0);
    }

    @Override
    public void stream(Emitter emitter) throws InterruptedException {
        server.createContext("/", exchange -> receive(exchange, emitter));
        server.start();
        // Until the connector is asked to stop: then this thread is interrupted.
        new CountDownLatch(1).await();
    }

    private static void receive(HttpExchange exchange, Emitter emitter) throws IOException {
        SourceRecord record = SourceRecord.builder().payload(exchange.getRequestBody().readAllBytes()).build();
        Optional<CompletableFuture<Void>> committed;
        try {
            committed = emitter.tryEmit(record);
        } catch (SourceStoppedException e) {
            answer(exchange, 503);
            return;
        }
        if (committed.isEmpty()) {
            answer(exchange, 429);
        } else {
            committed.get().whenComplete((done, error) -> answer(exchange, error == null ? 204 : 502));
        }
    }

    private static void answer(HttpExchange exchange, int status) {
        try (exchange) {
            exchange.sendResponseHeaders(status, -1);
        } catch (IOException e) {
            System.getLogger("webhook").log(System.Logger.Level.WARNING, "the client is gone", e);
        }
    }

    public int port() {
        return server.getAddress().getPort();
    }

    @Override
    public void close() {
        server.stop(0);
    }
}
