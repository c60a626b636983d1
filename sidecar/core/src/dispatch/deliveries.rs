//! The delivery ids of one worker: which record each stands for.

use std::collections::{BTreeMap, VecDeque};

use crate::slab::Key;

/// How far the ring may grow beyond what is open, before the oldest open ids
/// move out of it.
const SPARSE: usize = 4;
const SMALLEST_RING: usize = 1024;

/// Most answered ids that are kept for a late ack. Beyond it the oldest are
/// forgotten: their late ack is ignored, and the record is offered again.
const MOST_LATE: usize = 1 << 16;

/// Consecutive ids from 1, found by index.
///
/// A few slow records must not make this grow with everything that passes them:
/// their ids move to a map.
#[derive(Debug, Default)]
pub(super) struct Deliveries {
    /// The ids after `base`; none where an id was answered.
    ring: VecDeque<Option<Key>>,
    /// Ids up to this one have left the ring.
    base: u64,
    /// Open ids that have left the ring.
    slow: BTreeMap<u64, Key>,
    /// Ids that were answered with a failure. Their records may be unresolved still.
    late: BTreeMap<u64, Key>,
    open: usize,
}

impl Deliveries {
    /// The next id, standing for `record`.
    pub(super) fn issue(&mut self, record: Key) -> u64 {
        self.ring.push_back(Some(record));
        self.open += 1;
        while self.ring.len() > SMALLEST_RING.max(SPARSE * self.open) {
            self.retire_front();
        }
        self.issued()
    }

    /// How many were issued: ids 1 to this.
    pub(super) fn issued(&self) -> u64 {
        self.base + self.ring.len() as u64
    }

    /// The record of an id that is not answered yet.
    pub(super) fn open(&self, id: u64) -> Option<Key> {
        if id <= self.base {
            return self.slow.get(&id).copied();
        }
        self.ring.get(self.index(id)).copied().flatten()
    }

    /// Takes out the record of an id that was answered with a failure.
    pub(super) fn take_late(&mut self, id: u64) -> Option<Key> {
        self.late.remove(&id)
    }

    /// The id stands for nothing any more.
    pub(super) fn close(&mut self, id: u64) -> Option<Key> {
        let record = self.take(id)?;
        self.open -= 1;
        while self.ring.front().is_some_and(Option::is_none) {
            self.retire_front();
        }
        Some(record)
    }

    /// The id was answered with a failure: only an ack still means something.
    pub(super) fn answer(&mut self, id: u64) {
        let Some(record) = self.close(id) else { return };
        self.late.insert(id, record);
        if self.late.len() > MOST_LATE {
            self.late.pop_first();
        }
    }

    /// The record that was offered first of those not answered yet.
    pub(super) fn oldest(&self) -> Option<Key> {
        let slow = self.slow.values().next().copied();
        slow.or_else(|| self.ring.front().copied().flatten())
    }

    /// All records not answered yet, in the order of their offers.
    pub(super) fn all_open(&self) -> impl Iterator<Item = Key> {
        self.slow.values().copied().chain(self.ring.iter().copied().flatten())
    }

    /// Ids of a range that may still mean something: all that are open, all that
    /// are late, and some that are neither.
    pub(super) fn candidates(&self, first: u64, last: u64) -> Candidates {
        let sparse = self.slow.range(first..=last).chain(self.late.range(first..=last));
        let ring = first.max(self.base + 1)..=last.min(self.issued());
        Candidates { sparse: sparse.map(|(&id, _)| id).collect(), ring }
    }

    fn index(&self, id: u64) -> usize {
        usize::try_from(id - self.base - 1).unwrap_or(usize::MAX)
    }

    fn take(&mut self, id: u64) -> Option<Key> {
        if id <= self.base {
            return self.slow.remove(&id);
        }
        let index = self.index(id);
        self.ring.get_mut(index)?.take()
    }

    fn retire_front(&mut self) {
        let Some(front) = self.ring.pop_front() else { return };
        self.base += 1;
        if let Some(record) = front {
            self.slow.insert(self.base, record);
        }
    }
}

/// Ids to look at for a range. Late ids may be in the ring's part too.
#[derive(Debug)]
pub(super) struct Candidates {
    sparse: Vec<u64>,
    ring: std::ops::RangeInclusive<u64>,
}

impl Candidates {
    pub(super) fn into_ids(self) -> impl Iterator<Item = u64> {
        let ring = self.ring.clone();
        self.sparse.into_iter().filter(move |id| !ring.contains(id)).chain(self.ring)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::slab::Slab;

    fn key() -> Key {
        Slab::default().insert(())
    }

    fn ids(deliveries: &Deliveries, first: u64, last: u64) -> Vec<u64> {
        let mut ids: Vec<_> = deliveries
            .candidates(first, last)
            .into_ids()
            .filter(|&id| deliveries.open(id).is_some() || deliveries.late.contains_key(&id))
            .collect();
        ids.sort_unstable();
        ids
    }

    #[test]
    fn ids_are_consecutive_from_one() {
        let mut deliveries = Deliveries::default();
        let issued: Vec<_> = (0..3).map(|_| deliveries.issue(key())).collect();
        assert_eq!((issued, deliveries.issued()), (vec![1, 2, 3], 3));
    }

    #[test]
    fn a_range_finds_what_is_open_or_late_and_each_once() {
        let mut deliveries = Deliveries::default();
        for _ in 0..6 {
            deliveries.issue(key());
        }
        deliveries.close(1);
        deliveries.answer(3);
        deliveries.close(5);
        assert_eq!(ids(&deliveries, 1, 6), [2, 3, 4, 6]);
        assert_eq!(ids(&deliveries, 3, 5), [3, 4]);
    }

    #[test]
    fn a_slow_record_does_not_make_the_ring_grow() {
        let mut deliveries = Deliveries::default();
        let slow = key();
        assert_eq!(deliveries.issue(slow), 1);
        for _ in 0..100_000 {
            let id = deliveries.issue(key());
            deliveries.close(id);
        }
        assert!(deliveries.ring.len() <= SMALLEST_RING);
        assert_eq!(deliveries.oldest(), Some(slow));
        assert_eq!(ids(&deliveries, 1, 100_001), [1]);
        assert_eq!(deliveries.close(1), Some(slow));
        assert_eq!((deliveries.oldest(), deliveries.close(1)), (None, None));
    }

    #[test]
    fn late_ids_are_bounded() {
        let mut deliveries = Deliveries::default();
        for _ in 0..=MOST_LATE {
            let id = deliveries.issue(key());
            deliveries.answer(id);
        }
        assert_eq!((deliveries.take_late(1), deliveries.take_late(2).is_some()), (None, true));
    }
}
