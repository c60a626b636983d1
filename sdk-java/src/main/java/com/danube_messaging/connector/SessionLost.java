package com.danube_messaging.connector;

import com.google.protobuf.Any;
import com.google.protobuf.InvalidProtocolBufferException;
import com.google.protobuf.Message;
import com.google.rpc.ErrorInfo;
import com.google.rpc.RetryInfo;
import io.grpc.Metadata;
import io.grpc.Status;
import io.grpc.protobuf.StatusProto;
import java.time.Duration;
import java.util.Optional;

/** There is no session, or no longer. Connectors see only a {@link #refusal}. */
final class SessionLost extends Exception {
    private static final long serialVersionUID = 1;

    private final SidecarException refusal;
    private final Duration retryAfter;
    private final boolean isTrouble;

    private SessionLost(String message, SidecarException refusal, Duration retryAfter, boolean isTrouble) {
        super(message, null, false, false);
        this.refusal = refusal;
        this.retryAfter = retryAfter;
        this.isTrouble = isTrouble;
    }

    /** Nobody answers there. */
    static SessionLost unreachable(Address address, Status status) {
        return lost("no sidecar answers at " + address + ": " + rootCause(status)
            + "; start it with `danube-sidecar run`, or name another with DANUBE_SIDECAR_ADDRESS");
    }

    /** The sidecar did not do what it had to in time. */
    static SessionLost slow(String what, Duration limit) {
        return lost("the sidecar did not " + what + " within " + limit.toSeconds() + " s");
    }

    /** The sidecar broke the protocol. */
    static SessionLost protocol(String what) {
        return lost("the sidecar broke the protocol: " + what);
    }

    /** The stream has ended. For a source, ABORTED is final too. */
    static SessionLost ended(Status status, Metadata trailers, boolean isSource) {
        if (status.isOk()) {
            return new SessionLost("the sidecar ended the session", null, null, false);
        }
        com.google.rpc.Status details = StatusProto.fromStatusAndTrailers(status, trailers);
        String reason = detail(details, ErrorInfo.class).map(ErrorInfo::getReason).orElse("");
        String code = status.getCode().name();
        String named = code + (reason.isEmpty() ? "" : ", " + reason) + "): " + text(status);
        String message = switch (status.getCode()) {
            case INVALID_ARGUMENT, FAILED_PRECONDITION, PERMISSION_DENIED, UNAUTHENTICATED ->
                "the sidecar refuses this connector (" + named;
            case ABORTED -> isSource ? "another process of this source has taken over (" + named
                + "; let only one run, or give each a name of its own" : null;
            default -> null;
        };
        if (message != null) {
            return new SessionLost(message, new SidecarException(code, reason, message), null, true);
        }
        Duration retryAfter = detail(details, RetryInfo.class).map(info -> Frames.duration(info.getRetryDelay())).orElse(null);
        return new SessionLost("the session with the sidecar broke (" + named, null, retryAfter, true);
    }

    private static SessionLost lost(String message) {
        return new SessionLost(message, null, null, true);
    }

    /** Why trying again is in vain; empty where it is not. */
    Optional<SidecarException> refusal() {
        return Optional.ofNullable(refusal);
    }

    /** Whether something went wrong: a sidecar that shuts down ends its sessions in good order. */
    boolean isTrouble() {
        return isTrouble;
    }

    /** How long the sidecar asks to wait. */
    Duration retryAfter() {
        return retryAfter == null ? Duration.ZERO : retryAfter;
    }

    private static <T extends Message> Optional<T> detail(com.google.rpc.Status details, Class<T> type) {
        for (Any any : details.getDetailsList()) {
            if (any.is(type)) {
                try {
                    return Optional.of(any.unpack(type));
                } catch (InvalidProtocolBufferException e) {
                    return Optional.empty();
                }
            }
        }
        return Optional.empty();
    }

    private static String text(Status status) {
        return status.getDescription() == null ? rootCause(status) : status.getDescription();
    }

    /** What is at the end of the chain: the transport's own message says nothing. */
    private static String rootCause(Status status) {
        Throwable cause = status.getCause();
        if (cause == null) {
            return status.getDescription() == null ? status.getCode().name() : status.getDescription();
        }
        while (cause.getCause() != null) {
            cause = cause.getCause();
        }
        return cause.toString();
    }
}
