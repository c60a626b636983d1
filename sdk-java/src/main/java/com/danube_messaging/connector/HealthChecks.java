package com.danube_messaging.connector;

import com.danube_messaging.connector.v1.Health;
import java.time.Duration;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.List;
import java.util.Queue;
import java.util.concurrent.Callable;

/** Answers the sidecar's probes: on a thread of its own, so that no answer waits for a record that is being written. */
final class HealthChecks {
    /** The sidecar waits 5 s. */
    static final Duration LIMIT = Duration.ofSeconds(4);

    private final ConnectorThread thread;
    private final Connector connector;
    /** Whether the connector has a check of its own: else its word tells nothing of the external system. */
    private final boolean hasCheck;
    /** Probes of this session that are not answered, the oldest first: the sidecar bounds them. */
    private final Queue<Question> open = new ArrayDeque<>();
    /** The check that is going on, or null. */
    private ConnectorThread.Call<Health> check;

    private record Question(long probeId, Deadline due) {}

    HealthChecks(String name, Connector connector, Wakeup wakeup) {
        thread = new ConnectorThread(name, wakeup);
        this.connector = connector;
        hasCheck = overridesHealth(connector);
    }

    /** The session is over: nobody waits for an answer any more. */
    void forget() {
        open.clear();
    }

    /** The sidecar asks. Several questions share one check. */
    void ask(long probeId) {
        open.add(new Question(probeId, Deadline.in(LIMIT)));
        if (check == null) {
            check = thread.call((Callable<Health>) this::check);
        }
    }

    /** What can be answered now. */
    List<Health> answers() {
        List<Health> answers = new ArrayList<>();
        if (check != null && check.isDone()) {
            Health health = outcome(check);
            check = null;
            for (Question question = open.poll(); question != null; question = open.poll()) {
                answers.add(health.toBuilder().setProbeId(question.probeId).build());
            }
        }
        while (!open.isEmpty() && open.peek().due.isOver()) {
            Health late = unhealthy("the health check did not return within " + LIMIT.toSeconds() + " s");
            answers.add(late.toBuilder().setProbeId(open.remove().probeId).build());
        }
        return answers;
    }

    /** When the next answer has to be given. */
    Deadline due() {
        return open.isEmpty() ? Deadline.NEVER : open.peek().due;
    }

    /** Lets the thread end; a check that is going on is interrupted. */
    void end() {
        thread.interrupt();
    }

    private Health check() throws Exception {
        connector.health();
        return healthy(0).toBuilder().setChecked(hasCheck).build();
    }

    private static boolean overridesHealth(Connector connector) {
        try {
            return connector.getClass().getMethod("health").getDeclaringClass() != Connector.class;
        } catch (NoSuchMethodException e) {
            return false;
        }
    }

    private static Health outcome(ConnectorThread.Call<Health> check) {
        try {
            return check.result();
        } catch (Exception e) {
            return unhealthy(Outcome.of(e).message());
        }
    }

    static Health healthy(long probeId) {
        return Health.newBuilder().setProbeId(probeId).setStatus(Health.Status.STATUS_HEALTHY).build();
    }

    private static Health unhealthy(String message) {
        return Health.newBuilder()
            .setStatus(Health.Status.STATUS_UNHEALTHY)
            .setMessage(Frames.shortened(message))
            .build();
    }
}
