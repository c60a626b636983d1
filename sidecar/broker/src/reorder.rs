//! Records behind a hole in the offsets, until it is filled or given up.
//!
//! Danube hands out what concurrent publishers send a little out of order: each message
//! gets its offset before it enters the live channel, and another may overtake it in
//! between. So a hole is a loss only when it stays one for a moment. Nothing is passed
//! on ahead of an older offset meanwhile.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use danube_sidecar_core::record::Record;

use crate::gaps::Gaps;

/// How long a message may be overtaken by others: a publisher's thread at the broker
/// that loses its processor between the two steps.
const GRACE: Duration = Duration::from_millis(50);

/// What came behind a hole, by offset.
#[derive(Debug)]
pub(crate) struct Reorder {
    held: BTreeMap<u64, Arc<Record>>,
    /// As many fill the broker's window: nothing comes any more that could fill the
    /// hole.
    most: usize,
    since: Option<Instant>,
}

impl Reorder {
    /// For a broker with this window.
    pub(crate) fn new(broker_window: usize) -> Self {
        Self { held: BTreeMap::new(), most: broker_window.saturating_sub(1).max(1), since: None }
    }

    /// Whether nothing is held.
    pub(crate) fn is_empty(&self) -> bool {
        self.held.is_empty()
    }

    /// Takes a record that came behind a hole.
    pub(crate) fn hold(&mut self, now: Instant, record: Arc<Record>) {
        self.held.insert(record.identity.offset, record);
        self.since.get_or_insert(now);
    }

    /// The next record with no hole before it any more.
    pub(crate) fn next(&mut self, gaps: &Gaps) -> Option<Arc<Record>> {
        let first = self.held.first_entry().filter(|first| !gaps.precede(*first.key()))?;
        let record = first.remove();
        if self.held.is_empty() {
            self.since = None;
        }
        Some(record)
    }

    /// When what is missing is given up, where only others can have overtaken it.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.since.map(|since| since + GRACE)
    }

    /// Whether nothing can come any more that would fill the hole.
    pub(crate) fn is_full(&self) -> bool {
        self.held.len() >= self.most
    }
}

#[cfg(test)]
mod tests {
    use danube_sidecar_core::record::Identity;

    use super::*;

    fn record(offset: u64) -> Record {
        Record {
            identity: Identity {
                partition: "/default/orders".into(),
                offset,
                producer: "shop".into(),
                request_id: offset,
                publish_time_ms: 1,
            },
            topic: "/default/orders".into(),
            subscription: "sub".into(),
            key: None,
            payload: Default::default(),
            attributes: Default::default(),
            schema: None,
        }
    }

    struct Bench {
        gaps: Gaps,
        reorder: Reorder,
        now: Instant,
    }

    impl Bench {
        fn new(broker_window: usize) -> Self {
            let (gaps, reorder) = (Gaps::new(Some(0)), Reorder::new(broker_window));
            Self { gaps, reorder, now: Instant::now() }
        }

        /// What is passed on when these come.
        fn come(&mut self, offsets: impl IntoIterator<Item = u64>) -> Vec<u64> {
            let mut passed = Vec::new();
            for offset in offsets {
                self.gaps.delivered(offset);
                self.reorder.hold(self.now, record(offset).into());
                let next = || self.reorder.next(&self.gaps);
                passed.extend(std::iter::from_fn(next).map(|record| record.identity.offset));
            }
            passed
        }
    }

    #[test]
    fn what_was_overtaken_comes_in_its_turn() {
        let mut bench = Bench::new(100);
        assert!(bench.come([2, 3]).is_empty());
        assert_eq!(bench.come([1]), [1, 2, 3]);
        assert_eq!(bench.come([5, 7, 4]), [4, 5]);
        assert_eq!(bench.come([6]), [6, 7]);
        assert_eq!(bench.reorder.deadline(), None);
    }

    #[test]
    fn a_hole_that_stays_is_given_up_a_moment_after_it_came() {
        let mut bench = Bench::new(100);
        bench.come([2]);
        bench.now += GRACE / 2;
        bench.come([3]);
        assert_eq!(bench.reorder.deadline(), Some(bench.now + GRACE / 2));
    }

    #[test]
    fn a_hole_is_given_up_when_the_brokers_window_is_full_of_what_came_behind_it() {
        let mut bench = Bench::new(10);
        bench.come(2..10);
        assert!(!bench.reorder.is_full());
        bench.come([10]);
        assert!(bench.reorder.is_full());
    }
}
