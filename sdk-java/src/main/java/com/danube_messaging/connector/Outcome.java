package com.danube_messaging.connector;

import java.time.Duration;
import java.util.Collections;
import java.util.List;
import java.util.Objects;

/**
 * What became of one record of a batch.
 *
 * @param kind what follows from it
 * @param code a short constant in UPPER_SNAKE, for metrics and dead letters; empty if written
 * @param message what happened, for the operator (never payloads or secrets); at most 1 KiB of it is sent
 * @param retryAfter RETRY: not before this time has passed; null means the sidecar's backoff. BUSY: how long nothing is to be
 *     written; null means a second
 */
public record Outcome(Kind kind, String code, String message, Duration retryAfter) {
    /** The code of an exception that says nothing of itself. */
    static final String EXCEPTION = "EXCEPTION";

    private static final Outcome WRITTEN = new Outcome(Kind.WRITTEN, "", "", null);

    /** What follows from a record. */
    public enum Kind {
        /** It is safe in the external system: acked. */
        WRITTEN,
        /** Temporary: it is offered again after a backoff. */
        RETRY,
        /** The external system takes nothing at present, whatever the record: nothing more is written for a while. */
        BUSY,
        /** It can never be written: dead letter. */
        REJECT,
        /** Deliberately not written: done with, and counted apart. */
        FILTERED
    }

    /** Checks that nothing but {@code retryAfter} is null. */
    public Outcome {
        Objects.requireNonNull(kind, "kind");
        Objects.requireNonNull(code, "code");
        Objects.requireNonNull(message, "message");
    }

    /**
     * The record is safe in the external system.
     *
     * @return the outcome
     */
    public static Outcome written() {
        return WRITTEN;
    }

    /**
     * All of them are safe in the external system.
     *
     * @param records a batch
     * @return an outcome for each
     */
    public static List<Outcome> allWritten(List<Record> records) {
        return Collections.nCopies(records.size(), WRITTEN);
    }

    /**
     * Offer it again after the sidecar's backoff.
     *
     * @param code a short constant in UPPER_SNAKE
     * @param message what happened
     * @return the outcome
     */
    public static Outcome retry(String code, String message) {
        return new Outcome(Kind.RETRY, code, message, null);
    }

    /**
     * Offer it again, but not before this time has passed.
     *
     * @param code a short constant in UPPER_SNAKE
     * @param message what happened
     * @param after how long to wait at least
     * @return the outcome
     */
    public static Outcome retry(String code, String message, Duration after) {
        return new Outcome(Kind.RETRY, code, message, after);
    }

    /**
     * The external system takes nothing at present, whatever the record; see {@link BusyException}. It is left alone for a
     * second.
     *
     * @param code a short constant in UPPER_SNAKE
     * @param message what happened
     * @return the outcome
     */
    public static Outcome busy(String code, String message) {
        return new Outcome(Kind.BUSY, code, message, null);
    }

    /**
     * The external system takes nothing at present, whatever the record; see {@link BusyException}.
     *
     * @param code a short constant in UPPER_SNAKE
     * @param message what happened
     * @param after how long it is to be left alone
     * @return the outcome
     */
    public static Outcome busy(String code, String message, Duration after) {
        return new Outcome(Kind.BUSY, code, message, after);
    }

    /**
     * It can never be written.
     *
     * @param code a short constant in UPPER_SNAKE
     * @param message what happened
     * @return the outcome
     */
    public static Outcome reject(String code, String message) {
        return new Outcome(Kind.REJECT, code, message, null);
    }

    /**
     * It is deliberately not written.
     *
     * @param code a short constant in UPPER_SNAKE
     * @param message why
     * @return the outcome
     */
    public static Outcome filtered(String code, String message) {
        return new Outcome(Kind.FILTERED, code, message, null);
    }

    /**
     * What an exception means: {@link RetryException}, {@link BusyException}, {@link RejectException} and
     * {@link FilteredException} what their names say, any other a retry with the code {@code EXCEPTION}.
     *
     * @param exception the exception
     * @return the outcome
     */
    public static Outcome of(Exception exception) {
        String message = exception.getMessage() == null ? exception.getClass().getName() : exception.getMessage();
        if (exception instanceof RetryException retry) {
            return new Outcome(Kind.RETRY, retry.code(), message, retry.after().orElse(null));
        }
        if (exception instanceof BusyException busy) {
            return new Outcome(Kind.BUSY, busy.code(), message, busy.after().orElse(null));
        }
        if (exception instanceof RejectException reject) {
            return reject(reject.code(), message);
        }
        if (exception instanceof FilteredException filtered) {
            return filtered(filtered.code(), message);
        }
        return retry(EXCEPTION, message);
    }
}
