package com.danube_messaging.connector;

import com.danube_messaging.connector.v1.Fault;
import com.danube_messaging.connector.v1.Health;
import java.lang.System.Logger.Level;
import java.time.Duration;
import java.util.Optional;

/**
 * One session with the sidecar, from {@code opened} to the end: what sinks and sources have in common. The running thread takes
 * turns: each looks at everything that may have happened, does what is due, and never blocks; between them it waits.
 *
 * @param <U> what the connector sends
 * @param <D> what the sidecar sends
 */
abstract class Session<U, D> {
    /** How long the sidecar has to end the stream after the connector has said all. */
    static final Duration CLOSE_TIMEOUT = Duration.ofSeconds(5);

    private final Run run;
    private final Wire<U, D> wire;
    private boolean isDraining;
    private boolean saidDrained;

    Session(Run run, Wire<U, D> wire) {
        this.run = run;
        this.wire = wire;
    }

    /** Takes a frame in; of an unknown kind, none of it. */
    abstract void take(D frame) throws SessionLost;

    /** Does what is due. Returns whether nothing is left to do, or no time to do it. */
    abstract boolean turn() throws SessionLost;

    /** When the next turn is due if nothing happens. */
    abstract Deadline due();

    /** Sends what is known of the records in hand. */
    abstract void settle();

    abstract U frame(Health health);

    abstract U frame(Fault fault);

    abstract U drained();

    /** Serves until nothing is left to do. */
    final void serve() throws SessionLost {
        run.health().forget();
        try {
            while (!step()) {
                run.await(due().or(run.health().due()).or(run.stop().deadline()));
            }
            settle();
            sayDrained();
            leave();
        } catch (FatalException fatal) {
            settle();
            wire.send(frame(Frames.fault(fatal)));
            leave();
            throw fatal;
        }
    }

    private boolean step() throws SessionLost {
        for (Optional<D> frame = wire.next(); frame.isPresent(); frame = wire.next()) {
            take(frame.get());
        }
        run.health().answers().forEach(answer -> wire.send(frame(answer)));
        return turn();
    }

    final Run run() {
        return run;
    }

    final Wire<U, D> wire() {
        return wire;
    }

    /** The sidecar asks whether all is well. Before the connector is open there is nothing that could be wrong. */
    final void probed(long probeId) {
        if (run.isOpen()) {
            run.health().ask(probeId);
        } else {
            wire.send(frame(HealthChecks.healthy(probeId)));
        }
    }

    /** The sidecar is about to end the session. */
    final void drain() {
        isDraining = true;
    }

    final boolean isDraining() {
        return isDraining;
    }

    final boolean saidDrained() {
        return saidDrained;
    }

    /** Says, once, that nothing is left in the connector's hands. */
    final void sayDrained() {
        if (!saidDrained) {
            saidDrained = true;
            wire.send(drained());
        }
    }

    /** Sends nothing more, and waits a moment until the sidecar has read everything and ends the stream. */
    private void leave() {
        wire.halfClose();
        Deadline deadline = Deadline.in(CLOSE_TIMEOUT);
        try {
            while (!deadline.isOver()) {
                if (wire.next().isEmpty()) {
                    run.await(deadline);
                }
            }
            Run.LOG.log(Level.WARNING, "the sidecar did not end the session in time");
        } catch (SessionLost ended) {
            Run.LOG.log(Level.INFO, "the session is over: {0}", ended.getMessage());
        }
    }
}
