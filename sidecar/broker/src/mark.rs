//! How far a partition was seen, durably, so that a gap shows across restarts.
//!
//! The kept offset is an upper bound: no ack above it is ever sent. After a crash
//! everything below it may have been seen and acked, so only what is missing above
//! it is surely lost: no gap is ever told that is none. The bound runs ahead of a
//! fast partition, so that its acks seldom wait for the disk.

use std::time::{Duration, Instant};

/// Farthest that the bound runs ahead.
const FARTHEST: u64 = 4096;
/// A partition without deliveries for so long gets an exact bound.
const IDLE: Duration = Duration::from_secs(1);

/// The bound of one partition.
#[derive(Debug)]
pub(crate) struct Mark {
    /// Somebody else keeps the offset in the store: here it is only followed.
    foreign: bool,
    kept: Option<u64>,
    highest: Option<u64>,
    last_delivery: Option<Instant>,
    /// The broker reads the topic anew: it may begin below `highest`.
    rewound: bool,
    /// When the bound was last asked to move, and how far the partition was then.
    last_keep: Option<(Instant, u64)>,
    keeping: bool,
}

impl Mark {
    /// `kept` is what the store holds.
    pub(crate) fn new(kept: Option<u64>) -> Self {
        Self {
            foreign: false,
            kept,
            highest: kept,
            last_delivery: None,
            rewound: false,
            last_keep: None,
            keeping: false,
        }
    }

    /// `kept` is what the store holds and somebody else keeps there.
    pub(crate) fn foreign(kept: Option<u64>) -> Self {
        Self { foreign: true, ..Self::new(kept) }
    }

    /// The highest offset that was or may have been seen.
    pub(crate) fn highest(&self) -> Option<u64> {
        self.highest
    }

    /// The subscription was set up anew on the broker: everything from its cursor on
    /// comes again, and the bound may go back to there.
    pub(crate) fn rewind(&mut self) {
        self.rewound = true;
    }

    pub(crate) fn delivered(&mut self, now: Instant, offset: u64) {
        self.last_delivery = Some(now);
        let rewound = std::mem::take(&mut self.rewound);
        if rewound || self.highest.is_none_or(|highest| offset > highest) {
            self.highest = Some(offset);
        }
    }

    /// Whether acks may be sent: the bound covers all that was delivered.
    pub(crate) fn covers(&self) -> bool {
        let kept = |highest| self.kept.is_some_and(|kept| highest <= kept);
        self.foreign || self.highest.is_none_or(kept)
    }

    /// The bound to keep now, if any; [`Mark::kept`] must follow.
    pub(crate) fn wanted(&mut self, now: Instant) -> Option<u64> {
        let highest = self.highest.filter(|_| !self.keeping)?;
        let bound = if !self.covers() {
            highest + self.ahead(now, highest)
        } else if self.idle_at()? <= now {
            highest
        } else {
            return None;
        };
        self.last_keep = Some((now, highest));
        self.keeping = true;
        Some(bound)
    }

    /// Twice what came since the bound last moved, for a partition in full flow.
    fn ahead(&self, now: Instant, highest: u64) -> u64 {
        match self.last_keep {
            Some((then, at)) if now < then + IDLE => (2 * highest.saturating_sub(at)).min(FARTHEST),
            _ => 0,
        }
    }

    /// The store holds the bound that was to be kept; none: it is not known whether it
    /// does.
    pub(crate) fn kept(&mut self, bound: Option<u64>) {
        if std::mem::take(&mut self.keeping) {
            self.kept = bound;
        }
    }

    /// The exact bound for a clean end, where the store holds another or may do so.
    pub(crate) fn exact(&self) -> Option<u64> {
        self.highest.filter(|_| !self.foreign && self.highest != self.kept)
    }

    /// When an idle partition gets its exact bound.
    pub(crate) fn idle_at(&self) -> Option<Instant> {
        self.exact()?;
        self.last_delivery.filter(|_| !self.keeping).map(|delivery| delivery + IDLE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn acks_wait_until_the_bound_is_kept() {
        let (mut mark, now) = (Mark::new(None), Instant::now());
        mark.delivered(now, 7);
        assert!(!mark.covers());
        assert_eq!(mark.wanted(now), Some(7));
        assert_eq!(mark.wanted(now), None);
        mark.kept(Some(7));
        assert!(mark.covers());
    }

    #[test]
    fn the_bound_runs_ahead_of_a_partition_in_full_flow() {
        let (mut mark, now) = (Mark::new(None), Instant::now());
        mark.delivered(now, 0);
        let first = mark.wanted(now);
        mark.kept(first);
        mark.delivered(now, 500);
        assert_eq!(mark.wanted(now), Some(1500));
        mark.kept(Some(1500));
        mark.delivered(now, 1400);
        assert!(mark.covers());
    }

    #[test]
    fn an_idle_partition_gets_its_exact_bound() {
        let (mut mark, now) = (Mark::new(None), Instant::now());
        mark.delivered(now, 3);
        assert_eq!(mark.wanted(now), Some(3));
        mark.kept(Some(100));
        assert_eq!(mark.wanted(now), None);
        assert_eq!(mark.idle_at(), Some(now + IDLE));
        assert_eq!(mark.wanted(now + IDLE), Some(3));
    }

    #[test]
    fn a_repeat_after_a_restart_does_not_lower_the_bound() {
        let (mut mark, now) = (Mark::new(Some(100)), Instant::now());
        mark.delivered(now, 5);
        assert_eq!((mark.exact(), mark.wanted(now + IDLE)), (None, None));
    }

    #[test]
    fn a_broker_that_reads_anew_lowers_the_bound() {
        let (mut mark, now) = (Mark::new(Some(100)), Instant::now());
        mark.rewind();
        mark.delivered(now, 5);
        assert_eq!(mark.exact(), Some(5));
    }

    #[test]
    fn a_bound_that_somebody_else_keeps_is_never_written_nor_waited_for() {
        let (mut mark, now) = (Mark::foreign(Some(3)), Instant::now());
        mark.delivered(now, 9);
        assert!(mark.covers());
        assert_eq!((mark.wanted(now + IDLE), mark.exact(), mark.idle_at()), (None, None, None));
        assert_eq!(mark.highest(), Some(9));
    }

    #[test]
    fn a_bound_that_may_or_may_not_be_kept_is_not_trusted() {
        let (mut mark, now) = (Mark::new(None), Instant::now());
        mark.delivered(now, 7);
        assert_eq!(mark.wanted(now), Some(7));
        mark.kept(Some(7));
        assert_eq!(mark.exact(), None);
        mark.delivered(now, 8);
        assert_eq!(mark.wanted(now), Some(10));
        assert_eq!(mark.exact(), Some(8));
        mark.kept(None);
        assert_eq!((mark.exact(), mark.covers()), (Some(8), false));
    }

    #[test]
    fn a_failed_write_is_tried_again() {
        let (mut mark, now) = (Mark::new(None), Instant::now());
        mark.delivered(now, 3);
        assert_eq!(mark.wanted(now), Some(3));
        mark.kept(None);
        assert_eq!(mark.wanted(now), Some(3));
    }
}
