package com.danube_messaging.connector;

import java.util.HashSet;
import java.util.Set;

/**
 * The lanes whose last record has to be offered again.
 *
 * <p>The sidecar holds back what follows a record that is retried; but what it had already sent when it heard of it is still
 * under way, and must not overtake.
 */
final class HeldLanes {
    /** Lanes that are remembered. Beyond it all are forgotten, which gives up no more than the order of what is under way. */
    static final int MOST = 10_000;

    private final Set<Lane> held = new HashSet<>();

    /** What records wait for each other: those of a topic's key. */
    private record Lane(String topic, String key) {
        static Lane of(Record record) {
            return record.key().map(key -> new Lane(record.topic(), key)).orElse(null);
        }
    }

    /** The record is to be retried: holds what follows in its lane. */
    void hold(Record record) {
        Lane lane = Lane.of(record);
        if (lane == null) {
            return;
        }
        if (held.size() >= MOST) {
            held.clear();
        }
        held.add(lane);
    }

    /** Whether the record may pass. One that is offered again opens its lane: the sidecar decides what comes first. */
    boolean admit(Record record) {
        if (held.isEmpty()) {
            return true;
        }
        Lane lane = Lane.of(record);
        if (record.attempt() > 1) {
            held.remove(lane);
        }
        return !held.contains(lane);
    }

    int size() {
        return held.size();
    }
}
