package com.danube_messaging.connector;

import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.time.Duration;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.function.BooleanSupplier;

/** Waits for what has to come; a test that waits in vain fails. */
final class Eventually {
    private static final long PATIENCE_SECONDS = 20;

    private Eventually() {}

    static <T> T next(BlockingQueue<T> queue, String what) throws InterruptedException {
        T next = queue.poll(PATIENCE_SECONDS, TimeUnit.SECONDS);
        assertNotNull(next, "waited in vain for " + what);
        return next;
    }

    static void happened(CountDownLatch latch, String what) throws InterruptedException {
        assertTrue(latch.await(PATIENCE_SECONDS, TimeUnit.SECONDS), "waited in vain for " + what);
    }

    static void holds(BooleanSupplier condition, String what) throws InterruptedException {
        Deadline deadline = Deadline.in(Duration.ofSeconds(PATIENCE_SECONDS));
        while (!condition.getAsBoolean()) {
            assertTrue(!deadline.isOver(), "waited in vain for " + what);
            TimeUnit.MILLISECONDS.sleep(1);
        }
    }
}
