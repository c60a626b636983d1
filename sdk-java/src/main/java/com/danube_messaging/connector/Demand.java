package com.danube_messaging.connector;

import com.danube_messaging.connector.v1.SourceDemand;

/** What was sent in a session, against what may be. */
final class Demand {
    private long allowedRecords;
    private long allowedBytes;
    private long sentRecords;
    private long sentBytes;

    /** The sidecar's latest word. Its counts only grow. */
    void update(SourceDemand demand) {
        allowedRecords = Math.max(allowedRecords, clamped(demand.getRecords()));
        allowedBytes = Math.max(allowedBytes, clamped(demand.getBytes()));
    }

    /** The wire's numbers are unsigned; what is beyond Java's is as good as without end. */
    private static long clamped(long unsigned) {
        return unsigned < 0 ? Long.MAX_VALUE : unsigned;
    }

    /** Whether another record may be sent. The one that reaches the byte count may exceed it. */
    boolean isOpen() {
        return isOpenAfter(0, 0);
    }

    /** Whether another record may be sent after these. */
    boolean isOpenAfter(long records, long bytes) {
        return allowedRecords - sentRecords > records && allowedBytes - sentBytes > bytes;
    }

    /** A record of this encoded size is sent. */
    void spend(int bytes) {
        sentRecords++;
        sentBytes += bytes;
    }

    /** How many were sent: the number of the last one. */
    long sentRecords() {
        return sentRecords;
    }
}
