package com.danube_messaging.connector;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.grpc.Status;
import io.grpc.stub.StreamObserver;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;

/**
 * The sidecar's side of one session, played by a test.
 *
 * @param <U> what the connector sends
 * @param <D> what the sidecar sends
 */
abstract class Script<U, D> {
    private static final Object END = "the connector said all";

    private final BlockingQueue<Object> received = new LinkedBlockingQueue<>();
    private final StreamObserver<D> down;
    private long lastFence = 1000;

    Script(StreamObserver<D> down) {
        this.down = down;
    }

    StreamObserver<U> observer() {
        return new StreamObserver<>() {
            @Override
            public void onNext(U frame) {
                received.add(frame);
            }

            @Override
            public void onError(Throwable error) {
                received.add(error);
            }

            @Override
            public void onCompleted() {
                received.add(END);
            }
        };
    }

    void send(D frame) {
        down.onNext(frame);
    }

    /** The connector's next frame. */
    @SuppressWarnings("unchecked")
    U next() throws InterruptedException {
        Object next = Eventually.next(received, "a frame");
        assertTrue(next != END && !(next instanceof Throwable), () -> "a frame was expected, it came: " + next);
        return (U) next;
    }

    abstract void probe(long id);

    /** The answer to a probe that a frame is, or 0. */
    abstract long probeAnswered(U frame);

    /** The connector has nothing to say: a question is what it answers next. */
    void expectSilence() throws InterruptedException {
        lastFence++;
        probe(lastFence);
        U next = next();
        assertEquals(lastFence, probeAnswered(next), () -> "nothing was expected, it came: " + next);
    }

    /** The connector has said all. */
    void expectEnd() throws InterruptedException {
        assertEquals(END, Eventually.next(received, "the end of the connector's frames"));
    }

    /** Ends the session in good order. */
    void end() {
        down.onCompleted();
    }

    /** Ends the session with this status. */
    void fail(Status status) {
        down.onError(status.asRuntimeException());
    }

    void fail(Throwable error) {
        down.onError(error);
    }
}
