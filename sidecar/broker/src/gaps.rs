//! Holes in the offsets of a partition.
//!
//! Offsets are consecutive, so a jump that stays means that the broker passed over
//! messages. While an attach repeats they may still come, and for a moment at any time
//! (see [`crate::reorder`]). A gap is told before what came behind it, so that nobody
//! who keeps how far he has seen a partition keeps more than was told.

use std::collections::BTreeMap;

/// Most gaps that are remembered in case they are filled after all.
const REMEMBERED: usize = 1000;

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
    /// First offset → last offset. Bounded by what one attach delivers: the window.
    holes: Ranges,
    /// Holes that were told as gaps, the latest of them.
    told: Ranges,
    /// The broker reads the topic anew: it may begin below `next`.
    rewound: bool,
}

impl Gaps {
    /// `seen` is the highest offset known from before a restart.
    pub(crate) fn new(seen: Option<u64>) -> Self {
        let next = seen.map(|seen| seen.saturating_add(1));
        Self { next, holes: Ranges::default(), told: Ranges::default(), rewound: false }
    }

    /// The subscription was set up anew on the broker: it delivers everything from
    /// its cursor on, old messages and perhaps other ones under old offsets.
    pub(crate) fn rewind(&mut self) {
        self.rewound = true;
    }

    /// Tells whether the message was told as missing.
    pub(crate) fn delivered(&mut self, offset: u64) -> bool {
        let rewound = std::mem::take(&mut self.rewound);
        match self.next {
            Some(next) if offset > next => self.holes.insert(next, offset - 1),
            Some(next) if offset < next && rewound => {
                self.holes = Ranges::default();
                self.told = Ranges::default();
            }
            Some(next) if offset < next => {
                self.holes.remove(offset);
                return self.told.remove(offset);
            }
            _ => {}
        }
        self.next = Some(offset.saturating_add(1));
        false
    }

    /// Whether there is a hole before `offset`.
    pub(crate) fn precede(&self, offset: u64) -> bool {
        self.first_hole().is_some_and(|first| first < offset)
    }

    /// The first offset that is missing and was not told yet.
    pub(crate) fn first_hole(&self) -> Option<u64> {
        self.holes.first()
    }

    /// The holes; what is missing is not waited for any more.
    pub(crate) fn take(&mut self) -> Vec<Gap> {
        let Ranges(holes) = std::mem::take(&mut self.holes);
        for (&first, &last) in &holes {
            self.told.insert(first, last);
        }
        self.told.keep_last(REMEMBERED);
        holes.into_iter().map(|(first, last)| Gap { first, last }).collect()
    }
}

/// Offsets: the first of each range and its last.
#[derive(Debug, Default)]
struct Ranges(BTreeMap<u64, u64>);

impl Ranges {
    fn first(&self) -> Option<u64> {
        self.0.first_key_value().map(|(first, _)| *first)
    }

    fn insert(&mut self, first: u64, last: u64) {
        self.0.insert(first, last);
    }

    /// Tells whether it was among them.
    fn remove(&mut self, offset: u64) -> bool {
        let Some((&first, &last)) = self.0.range(..=offset).next_back() else { return false };
        if offset > last {
            return false;
        }
        self.0.remove(&first);
        if first < offset {
            self.0.insert(first, offset - 1);
        }
        if offset < last {
            self.0.insert(offset + 1, last);
        }
        true
    }

    fn keep_last(&mut self, most: usize) {
        while self.0.len() > most {
            self.0.pop_first();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(gaps: &mut Gaps, offsets: impl IntoIterator<Item = u64>) {
        offsets.into_iter().for_each(|offset| _ = gaps.delivered(offset));
    }

    #[test]
    fn consecutive_offsets_have_no_hole() {
        let mut gaps = Gaps::new(None);
        after(&mut gaps, 7..20);
        assert_eq!(gaps.take(), []);
    }

    #[test]
    fn a_jump_is_a_gap_before_what_came_behind_it() {
        let mut gaps = Gaps::new(None);
        after(&mut gaps, [1, 2, 300]);
        assert!(gaps.precede(300) && !gaps.precede(2));
        assert_eq!(gaps.first_hole(), Some(3));
        assert_eq!(gaps.take(), [Gap { first: 3, last: 299 }]);
        assert_eq!(gaps.take(), []);
    }

    #[test]
    fn the_largest_offset_there_is_has_none_behind_it() {
        let mut gaps = Gaps::new(Some(u64::MAX));
        after(&mut gaps, [u64::MAX - 1, u64::MAX]);
        assert_eq!(gaps.take(), []);
    }

    #[test]
    fn a_hole_that_repeats_fill_is_none() {
        let mut gaps = Gaps::new(None);
        after(&mut gaps, [1, 5, 6, 3, 2, 4]);
        assert_eq!(gaps.take(), []);
    }

    #[test]
    fn what_repeats_fill_partly_is_told_in_its_parts() {
        let mut gaps = Gaps::new(None);
        after(&mut gaps, [1, 10, 5]);
        assert_eq!(gaps.take(), [Gap { first: 2, last: 4 }, Gap { first: 6, last: 9 }]);
    }

    #[test]
    fn a_message_that_comes_after_it_was_told_as_missing_is_recognised() {
        let mut gaps = Gaps::new(None);
        after(&mut gaps, [1, 4]);
        assert_eq!(gaps.take(), [Gap { first: 2, last: 3 }]);
        assert!(gaps.delivered(3) && !gaps.delivered(3) && !gaps.delivered(1));
        assert!(gaps.delivered(2));
        assert_eq!(gaps.take(), []);
    }

    #[test]
    fn messages_lost_while_we_were_down_show_before_the_first_record() {
        let mut gaps = Gaps::new(Some(41));
        after(&mut gaps, [100]);
        assert_eq!(gaps.take(), [Gap { first: 42, last: 99 }]);
    }

    #[test]
    fn a_broker_that_reads_anew_may_begin_at_an_older_offset() {
        let mut gaps = Gaps::new(Some(41));
        gaps.rewind();
        after(&mut gaps, 30..50);
        assert_eq!(gaps.take(), []);
    }

    #[test]
    fn a_broker_that_reads_anew_beyond_what_was_seen_leaves_a_gap() {
        let mut gaps = Gaps::new(Some(41));
        gaps.rewind();
        after(&mut gaps, [60]);
        assert_eq!(gaps.take(), [Gap { first: 42, last: 59 }]);
    }
}
