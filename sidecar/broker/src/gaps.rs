//! Holes in the offsets of a partition.
//!
//! Offsets are consecutive, so a jump means that the broker passed over messages,
//! unless they still come: after an attach the broker repeats what is un-acked,
//! and leftovers of the previous stream may come first. A hole is therefore judged
//! only when the attach has drained and some grace has passed.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

/// Most holes that wait for judgement; the oldest are judged early beyond it.
const MOST_HOLES: usize = 256;
/// How long a hole may still be filled outside of an attach.
const GRACE: Duration = Duration::from_secs(2);

/// Offsets `first..=last` that did not come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Gap {
    pub(crate) first: u64,
    pub(crate) last: u64,
}

/// The holes of one partition.
#[derive(Debug)]
pub(crate) struct Gaps {
    /// The offset that follows the highest one seen.
    next: Option<u64>,
    /// First offset → last offset, and when the hole was noticed.
    holes: BTreeMap<u64, (u64, Instant)>,
    /// The broker reads the topic anew: it may begin below `next`.
    rewound: bool,
}

impl Gaps {
    /// `seen` is the highest offset known from before a restart.
    pub(crate) fn new(seen: Option<u64>) -> Self {
        Self { next: seen.map(|seen| seen + 1), holes: BTreeMap::new(), rewound: false }
    }

    /// The subscription was set up anew on the broker: it delivers everything from
    /// its cursor on, old messages and perhaps other ones under old offsets.
    pub(crate) fn rewind(&mut self) {
        self.rewound = true;
    }

    pub(crate) fn delivered(&mut self, now: Instant, offset: u64) {
        let rewound = std::mem::take(&mut self.rewound);
        match self.next {
            Some(next) if offset > next => {
                self.holes.insert(next, (offset - 1, now));
            }
            Some(next) if offset < next && rewound => self.holes.clear(),
            Some(next) if offset < next => return self.fill(offset),
            _ => {}
        }
        self.next = Some(offset + 1);
    }

    fn fill(&mut self, offset: u64) {
        let Some((&first, &(last, noticed))) = self.holes.range(..=offset).next_back() else {
            return;
        };
        if offset > last {
            return;
        }
        self.holes.remove(&first);
        if first < offset {
            self.holes.insert(first, (offset - 1, noticed));
        }
        if offset < last {
            self.holes.insert(offset + 1, (last, noticed));
        }
    }

    /// The attach has drained: what is missing now does not come any more.
    pub(crate) fn drained(&mut self) -> Vec<Gap> {
        let holes = std::mem::take(&mut self.holes);
        holes.into_iter().map(|(first, (last, _))| Gap { first, last }).collect()
    }

    /// While attached and drained: the holes whose grace has passed.
    pub(crate) fn judge(&mut self, now: Instant) -> Vec<Gap> {
        let crowded = self.holes.len() > MOST_HOLES;
        let due = |noticed: Instant| crowded || now >= noticed + GRACE;
        let mut gaps = Vec::new();
        self.holes.retain(|&first, &mut (last, noticed)| {
            if due(noticed) {
                gaps.push(Gap { first, last });
            }
            !due(noticed)
        });
        gaps
    }

    /// When [`Gaps::judge`] has something to say, as things stand.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.holes.values().map(|(_, noticed)| *noticed + GRACE).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(gaps: &mut Gaps, offsets: impl IntoIterator<Item = u64>) -> Instant {
        let now = Instant::now();
        for offset in offsets {
            gaps.delivered(now, offset);
        }
        now
    }

    #[test]
    fn consecutive_offsets_have_no_hole() {
        let mut gaps = Gaps::new(None);
        after(&mut gaps, 7..20);
        assert_eq!(gaps.drained(), []);
    }

    #[test]
    fn a_jump_is_a_gap_once_its_grace_has_passed() {
        let mut gaps = Gaps::new(None);
        let now = after(&mut gaps, [1, 2, 300]);
        assert_eq!(gaps.judge(now), []);
        assert_eq!(gaps.deadline(), Some(now + GRACE));
        assert_eq!(gaps.judge(now + GRACE), [Gap { first: 3, last: 299 }]);
        assert_eq!(gaps.judge(now + GRACE), []);
    }

    #[test]
    fn a_hole_that_repeats_fill_is_none() {
        let mut gaps = Gaps::new(None);
        after(&mut gaps, [1, 5, 6, 3, 2, 4]);
        assert_eq!(gaps.drained(), []);
    }

    #[test]
    fn what_repeats_fill_partly_is_told_in_its_parts() {
        let mut gaps = Gaps::new(None);
        after(&mut gaps, [1, 10, 5]);
        assert_eq!(gaps.drained(), [Gap { first: 2, last: 4 }, Gap { first: 6, last: 9 }]);
    }

    #[test]
    fn messages_lost_while_we_were_down_show_before_the_first_record() {
        let mut gaps = Gaps::new(Some(41));
        after(&mut gaps, [100]);
        assert_eq!(gaps.drained(), [Gap { first: 42, last: 99 }]);
    }

    #[test]
    fn a_broker_that_reads_anew_may_begin_at_an_older_offset() {
        let mut gaps = Gaps::new(Some(41));
        gaps.rewind();
        after(&mut gaps, 30..50);
        assert_eq!(gaps.drained(), []);
    }

    #[test]
    fn a_broker_that_reads_anew_beyond_what_was_seen_leaves_a_gap() {
        let mut gaps = Gaps::new(Some(41));
        gaps.rewind();
        after(&mut gaps, [60]);
        assert_eq!(gaps.drained(), [Gap { first: 42, last: 59 }]);
    }

    #[test]
    fn holes_are_bounded() {
        let mut gaps = Gaps::new(None);
        let now = after(&mut gaps, (0..2 * MOST_HOLES as u64 + 4).map(|n| 2 * n));
        assert!(gaps.judge(now).len() > MOST_HOLES);
        assert_eq!(gaps.deadline(), None);
    }
}
