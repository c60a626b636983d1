package com.danube_messaging.connector;

import io.grpc.CallOptions;
import io.grpc.ClientCall;
import io.grpc.ManagedChannel;
import io.grpc.Metadata;
import io.grpc.MethodDescriptor;
import io.grpc.Status;
import java.time.Duration;
import java.util.Optional;
import java.util.Queue;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.function.BooleanSupplier;

/**
 * One stream of frames in both directions. Used by the running thread, which is woken when something came.
 *
 * @param <U> what the connector sends
 * @param <D> what the sidecar sends
 */
final class Wire<U, D> {
    private static final Duration CONNECT_TIMEOUT = Duration.ofSeconds(5);
    /** The sidecar settles the last session before it answers. */
    private static final Duration OPEN_TIMEOUT = Duration.ofSeconds(60);
    /** Frames that may wait to be read: what is beyond waits in HTTP/2's window. */
    private static final int READ_AHEAD = 8;

    private final Run run;
    private final boolean isSource;
    private final ManagedChannel channel;
    private final ClientCall<U, D> call;
    private final Queue<D> received = new ConcurrentLinkedQueue<>();
    private volatile boolean isConnected;
    /** Null while the stream lasts. */
    private volatile SessionLost end;
    private boolean saidAll;

    /** Dials, and sends the first frame as soon as the connection stands. */
    Wire(Run run, MethodDescriptor<U, D> method, U open, boolean isSource) {
        this.run = run;
        this.isSource = isSource;
        channel = run.dialer().channel();
        call = channel.newCall(method, CallOptions.DEFAULT);
        call.start(new Listener(), run.dialer().headers());
        call.request(READ_AHEAD);
        call.sendMessage(open);
    }

    /**
     * Waits for the frame that has to come first.
     *
     * @return empty if {@code givenUp} said so meanwhile
     */
    Optional<D> first(BooleanSupplier givenUp) throws SessionLost {
        Deadline connect = Deadline.in(CONNECT_TIMEOUT);
        Deadline open = Deadline.in(OPEN_TIMEOUT);
        while (!givenUp.getAsBoolean()) {
            Optional<D> first = next();
            if (first.isPresent()) {
                return first;
            }
            if (!isConnected && connect.isOver()) {
                throw SessionLost.slow("accept a connection at " + run.dialer().address(), CONNECT_TIMEOUT);
            }
            if (open.isOver()) {
                throw SessionLost.slow("answer `open`", OPEN_TIMEOUT);
            }
            run.await((isConnected ? open : connect).or(run.stop().deadline()));
        }
        return Optional.empty();
    }

    /**
     * The next frame that has come.
     *
     * @return empty while there is none
     * @throws SessionLost if the stream has ended and all that came was read
     */
    Optional<D> next() throws SessionLost {
        // In this order: what came before the end is in the queue when the end is seen.
        SessionLost end = this.end;
        D frame = received.poll();
        if (frame != null) {
            call.request(1);
        } else if (end != null) {
            throw end;
        }
        return Optional.ofNullable(frame);
    }

    /** Whether a frame would go out at once: else it waits in memory. The running thread is woken when it would. */
    boolean isReady() {
        return end == null && call.isReady();
    }

    /** Sends a frame. If the stream has ended, {@link #next} says so. */
    void send(U frame) {
        if (!saidAll) {
            call.sendMessage(frame);
        }
    }

    /** Sends nothing more. */
    void halfClose() {
        if (!saidAll) {
            saidAll = true;
            call.halfClose();
        }
    }

    /** Lets go of the stream and its connection; what was not sent is lost. */
    void close() {
        saidAll = true;
        call.cancel("the session is over", null);
        channel.shutdownNow();
    }

    /** Runs on gRPC's thread: leaves what comes where the running thread finds it. */
    private final class Listener extends ClientCall.Listener<D> {
        @Override
        public void onReady() {
            isConnected = true;
            run.wakeup().wake();
        }

        @Override
        public void onHeaders(Metadata headers) {
            isConnected = true;
        }

        @Override
        public void onMessage(D frame) {
            received.add(frame);
            run.wakeup().wake();
        }

        @Override
        public void onClose(Status status, Metadata trailers) {
            boolean isUnreachable = !isConnected && status.getCode() == Status.Code.UNAVAILABLE;
            end = isUnreachable
                ? SessionLost.unreachable(run.dialer().address(), status)
                : SessionLost.ended(status, trailers, isSource);
            run.wakeup().wake();
        }
    }
}
