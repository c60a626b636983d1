package com.danube_messaging.connector;

import java.util.Optional;
import java.util.concurrent.CompletableFuture;

/** A record that was read and is not committed yet. */
final class OutboxEntry {
    private final SourceRecord record;
    private final CompletableFuture<Void> committed = new CompletableFuture<>();
    private boolean isRejected;

    OutboxEntry(SourceRecord record) {
        this.record = record;
    }

    SourceRecord record() {
        return record;
    }

    /** What who emitted the record waits for. */
    CompletableFuture<Void> committed() {
        return committed;
    }

    /** Its encoded size, as demand counts it. */
    int bytes() {
        return record.wire().getSerializedSize();
    }

    Optional<Position> position() {
        return record.position();
    }

    /** It can never be published. Returns whether that is news: a new session tells it again. */
    boolean reject() {
        boolean isNews = !isRejected;
        isRejected = true;
        return isNews;
    }
}
