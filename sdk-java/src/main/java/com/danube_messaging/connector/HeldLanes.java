package com.danube_messaging.connector;

import java.util.HashMap;
import java.util.Map;

/**
 * The lanes whose last record has to be offered again.
 *
 * <p>The sidecar holds back what follows a record that is retried; but what it had already sent when it heard of it is still
 * under way, and must not overtake. With each lane stands the last delivery that was in hand when it was held first.
 */
final class HeldLanes {
    /** Lanes that are remembered. Beyond it all are forgotten, which gives up no more than the order of what is under way. */
    static final int MOST = 10_000;

    private final Map<Lane, Long> held = new HashMap<>();

    /** What records wait for each other: those of a topic's key. */
    private record Lane(String topic, String key) {
        static Lane of(Record record) {
            return record.key().map(key -> new Lane(record.topic(), key)).orElse(null);
        }
    }

    /** The record is to come again: holds what follows in its lane. {@code inHand} is the last delivery that was received. */
    void hold(Record record, long inHand) {
        Lane lane = Lane.of(record);
        if (lane == null) {
            return;
        }
        if (held.size() >= MOST) {
            held.clear();
        }
        held.putIfAbsent(lane, inHand);
    }

    /**
     * Whether the record may pass. One that is offered again opens its lane: the sidecar decides what comes first. What had
     * been in hand before is no such offer, whatever its attempt.
     */
    boolean admit(Record record) {
        if (held.isEmpty()) {
            return true;
        }
        Lane lane = Lane.of(record);
        Long inHand = held.get(lane);
        if (inHand == null) {
            return true;
        }
        boolean comesAgain = record.attempt() > 1 && record.deliveryId() > inHand;
        if (comesAgain) {
            held.remove(lane);
        }
        return comesAgain;
    }

    int size() {
        return held.size();
    }
}
