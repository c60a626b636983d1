package com.danube_messaging.connector;

import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;

/** A connector that runs while a test plays its sidecar. */
final class Background implements AutoCloseable {
    private final Runner runner;
    private final CompletableFuture<Void> end = new CompletableFuture<>();

    Background(Runner runner) {
        this.runner = runner;
        ConnectorThread.daemon("run", this::run).start();
    }

    private void run() {
        try {
            runner.run();
            end.complete(null);
        } catch (Throwable failure) {
            end.completeExceptionally(failure);
        }
    }

    void stop() {
        runner.stop();
    }

    boolean hasEnded() {
        return end.isDone();
    }

    /** Waits until the run returns; throws what it threw. */
    void join() throws Throwable {
        try {
            end.get(20, TimeUnit.SECONDS);
        } catch (ExecutionException e) {
            throw e.getCause();
        } catch (TimeoutException e) {
            throw new AssertionError("the run does not return", e);
        }
    }

    @Override
    public void close() {
        runner.stop();
    }
}
