package com.danube_messaging.connector;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.danube_messaging.connector.v1.SinkResults;
import java.util.List;
import org.junit.jupiter.api.Test;

/** How answers become frames. */
class ReportTest {
    private final Report report = new Report(new Wakeup());

    private static List<String> ranges(SinkResults results) {
        return results.getAckedList().stream().map(range -> range.getFirst() + "-" + range.getLast()).toList();
    }

    @Test
    void aRangeCoversNoIdThatFailedAndNoneThatWasNotIssued() {
        report.add(1, Outcome.written());
        report.add(2, Outcome.written());
        report.add(3, Outcome.retry("BUSY", "busy"));
        report.add(4, Outcome.written());
        report.add(9, Outcome.written());

        List<SinkResults> frames = report.take();

        assertEquals(1, frames.size());
        assertEquals(List.of("1-2", "4-4", "9-9"), ranges(frames.get(0)));
        assertEquals(3, frames.get(0).getFailures(0).getDeliveryId());
        assertTrue(report.take().isEmpty());
    }

    @Test
    void manyFailuresAreSpreadOverFrames() {
        for (int id = 0; id < 2500; id++) {
            report.add(id, Outcome.reject("WRONG", "wrong"));
        }
        report.add(2500, Outcome.written());

        List<SinkResults> frames = report.take();

        assertEquals(List.of(1000, 1000, 500), frames.stream().map(SinkResults::getFailuresCount).toList());
        assertEquals(List.of("2500-2500"), ranges(frames.get(2)));
    }

    @Test
    void answersDoNotWaitLongForCompany() {
        assertEquals(Deadline.NEVER, report.due());

        report.add(1, Outcome.written());

        assertTrue(report.due().leftNanos() <= Report.PATIENCE.toNanos());
    }

    @Test
    void aFullFrameOfFailuresIsDueAtOnce() {
        for (int id = 0; id < Report.MOST_FAILURES; id++) {
            report.add(id, Outcome.reject("WRONG", "wrong"));
        }

        assertTrue(report.due().isOver());
    }
}
