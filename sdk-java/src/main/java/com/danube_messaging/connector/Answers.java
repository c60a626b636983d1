package com.danube_messaging.connector;

import java.lang.System.Logger.Level;

/** What became of a session's records, as the connector's thread notes it; and which of them it may have at all. */
final class Answers {
    private static final Outcome HELD =
        Outcome.retry("HELD", "an earlier record of the same key has to be written first");

    private final Report report;
    private final HeldLanes lanes = new HeldLanes();
    private final Quiet quiet;
    private final Pause pause;
    /** The last delivery that came. */
    private volatile long received;
    private volatile boolean areUnwanted;

    /** Notes everything in {@code report}; {@code quiet} and {@code pause} outlive sessions. */
    Answers(Report report, Quiet quiet, Pause pause) {
        this.report = report;
        this.quiet = quiet;
        this.pause = pause;
    }

    Report report() {
        return report;
    }

    /** Deliveries up to this one are in hand. Called by the running thread. */
    void received(long last) {
        received = last;
    }

    /** The session is over: nobody hears what becomes of its records. Called by the running thread. */
    void abandon() {
        areUnwanted = true;
    }

    boolean areUnwanted() {
        return areUnwanted;
    }

    /** Whether the connector may have the record now. If not, it is answered for. */
    boolean admits(Record record) {
        Outcome busy = pause.left();
        if (busy != null) {
            lanes.hold(record, received);
            report.add(record.deliveryId(), busy);
            return false;
        }
        if (lanes.admit(record)) {
            return true;
        }
        report.add(record.deliveryId(), HELD);
        return false;
    }

    /** Notes what became of a record. */
    void add(Record record, Outcome outcome) {
        if (outcome.kind() == Outcome.Kind.BUSY) {
            pause.begin(outcome);
        }
        if (outcome.kind() == Outcome.Kind.BUSY || outcome.kind() == Outcome.Kind.RETRY) {
            lanes.hold(record, received);
        }
        report.add(record.deliveryId(), outcome);
    }

    /** Logs what the connector threw, unless it is an outcome, or one was logged a moment ago. */
    void complain(Exception exception) {
        if (!(exception instanceof ConnectorException) && quiet.mayLog()) {
            Run.LOG.log(Level.WARNING, "the sink threw an exception: the records are offered again", exception);
        }
    }
}
