//! Answers on their way to the sidecar.

use std::{mem, time::Duration};

use danube_connector_proto::v1;
use tokio::time::Instant;

use super::convert;
use crate::NotWritten;

/// Answers wait for company at most this long …
const PATIENCE: Duration = Duration::from_millis(50);
/// … and no more failures than this go into one frame, which bounds its size.
const MOST_FAILURES: usize = 1000;

/// Answers that were not sent yet, in the order of their delivery ids.
#[derive(Debug, Default)]
pub(crate) struct Report {
    results: v1::SinkResults,
    /// Whether the last range may grow: nothing else was answered since.
    growing: bool,
    since: Option<Instant>,
}

impl Report {
    /// Notes what became of a record.
    pub(crate) fn add(&mut self, delivery_id: u64, result: &Result<(), NotWritten>) {
        self.since.get_or_insert_with(Instant::now);
        match result {
            Ok(()) => self.ack(delivery_id),
            Err(error) => {
                self.growing = false;
                self.results.failures.push(convert::failure(delivery_id, error));
            }
        }
    }

    /// Whether it is time to send what is there.
    pub(crate) fn is_due(&self) -> bool {
        self.results.failures.len() >= MOST_FAILURES
            || self.since.is_some_and(|since| since.elapsed() >= PATIENCE)
    }

    /// Ends when it is time; never, while there is nothing to send.
    pub(crate) async fn due(&self) {
        match self.since {
            Some(since) => tokio::time::sleep_until(since + PATIENCE).await,
            None => std::future::pending().await,
        }
    }

    /// The frames to send.
    pub(crate) fn take(&mut self) -> Vec<v1::SinkResults> {
        let Self { results, .. } = mem::take(self);
        let v1::SinkResults { acked, mut failures } = results;
        let mut frames = Vec::new();
        while failures.len() > MOST_FAILURES {
            let rest = failures.split_off(MOST_FAILURES);
            let full = mem::replace(&mut failures, rest);
            frames.push(v1::SinkResults { acked: Vec::new(), failures: full });
        }
        if !acked.is_empty() || !failures.is_empty() {
            frames.push(v1::SinkResults { acked, failures });
        }
        frames
    }

    /// A range may run across a hole in the ids, but not across one that failed.
    fn ack(&mut self, id: u64) {
        match self.results.acked.last_mut() {
            Some(range) if self.growing => range.last = id,
            _ => self.results.acked.push(v1::DeliveryRange { first: id, last: id }),
        }
        self.growing = true;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ranges(frame: &v1::SinkResults) -> Vec<(u64, u64)> {
        frame.acked.iter().map(|range| (range.first, range.last)).collect()
    }

    #[test]
    fn acks_in_a_row_become_one_range() {
        let mut report = Report::default();
        for id in [1, 2, 5] {
            report.add(id, &Ok(()));
        }

        let frames = report.take();
        assert_eq!(ranges(&frames[0]), [(1, 5)]);
        assert!(report.take().is_empty());
    }

    #[test]
    fn a_failure_parts_the_ranges() {
        let mut report = Report::default();
        report.add(1, &Ok(()));
        report.add(2, &Err(NotWritten::retry("busy")));
        report.add(3, &Ok(()));

        let frames = report.take();
        assert_eq!(ranges(&frames[0]), [(1, 1), (3, 3)]);
        assert_eq!(frames[0].failures[0].delivery_id, 2);
    }

    #[test]
    fn many_failures_are_spread_over_frames() {
        let mut report = Report::default();
        for id in 0..2500 {
            report.add(id, &Err(NotWritten::retry("busy")));
        }

        let sizes: Vec<_> = report.take().iter().map(|frame| frame.failures.len()).collect();
        assert_eq!(sizes, [1000, 1000, 500]);
    }

    #[tokio::test(start_paused = true)]
    async fn answers_do_not_wait_long_for_company() {
        let mut report = Report::default();
        report.add(1, &Ok(()));
        assert!(!report.is_due());
        tokio::time::advance(PATIENCE).await;

        assert!(report.is_due());
    }
}
