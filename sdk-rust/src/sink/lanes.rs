//! Order per key, while records are on their way.

use std::{collections::HashMap, hash::BuildHasher as _};

use foldhash::fast::FixedState;

use crate::SinkRecord;

/// A topic's key, hashed: each record of a batch has one, and few are ever held. Two
/// that meet would hold each other's records once, for a retry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Lane(u64);

/// Lanes that are remembered at most. Beyond it all are forgotten, which gives
/// up no more than the order of records that were under way.
const MOST: usize = 10_000;

/// The lanes whose last record has to be offered again.
///
/// The sidecar holds back what follows a record that is retried; but what it had
/// already sent when it heard of it is still under way, and must not overtake. With
/// each lane stands the last delivery that was in hand when it was held first.
#[derive(Debug, Default)]
pub(crate) struct HeldLanes(HashMap<Lane, u64>);

impl HeldLanes {
    /// The record is to come again: hold what follows in its lane. `in_hand` is the last
    /// delivery that was received.
    pub(crate) fn hold(&mut self, lane: Option<Lane>, in_hand: u64) {
        if self.0.len() >= MOST {
            self.0.clear();
        }
        if let Some(lane) = lane {
            self.0.entry(lane).or_insert(in_hand);
        }
    }

    /// Whether the record may be processed. One that is offered again opens its
    /// lane: the sidecar decides what comes first. What had been in hand before is no
    /// such offer, whatever its attempt.
    pub(crate) fn admits(&mut self, record: &SinkRecord) -> bool {
        if self.0.is_empty() {
            return true;
        }
        let Some(lane) = lane(record) else { return true };
        let Some(&in_hand) = self.0.get(&lane) else { return true };
        let again = record.attempt() > 1 && record.delivery.id > in_hand;
        if again {
            self.0.remove(&lane);
        }
        again
    }

    /// What of a batch may be processed, and what may not.
    pub(crate) fn split(&mut self, batch: Vec<SinkRecord>) -> (Vec<SinkRecord>, Vec<SinkRecord>) {
        if self.0.is_empty() {
            return (batch, Vec::new());
        }
        batch.into_iter().partition(|record| self.admits(record))
    }

    /// Forgets all: a new session begins.
    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }
}

/// What records wait for each other: those of a topic's key.
pub(crate) fn lane(record: &SinkRecord) -> Option<Lane> {
    record.key().map(|key| Lane(FixedState::default().hash_one((record.topic(), key))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::SinkRecordBuilder;

    fn record(key: &str, attempt: u32) -> SinkRecord {
        SinkRecordBuilder::new("/default/t").key(key).attempt(attempt).build()
    }

    fn delivered(id: u64, key: &str, attempt: u32) -> SinkRecord {
        let mut record = record(key, attempt);
        record.delivery.id = id;
        record
    }

    #[test]
    fn what_follows_a_retried_record_is_held() {
        let mut lanes = HeldLanes::default();
        lanes.hold(lane(&record("a", 1)), 1);

        assert!(!lanes.admits(&delivered(2, "a", 1)));
        assert!(lanes.admits(&delivered(3, "b", 1)));
    }

    #[test]
    fn a_record_that_is_offered_again_opens_its_lane() {
        let mut lanes = HeldLanes::default();
        lanes.hold(lane(&record("a", 1)), 1);

        assert!(lanes.admits(&delivered(2, "a", 2)));
        assert!(lanes.admits(&delivered(3, "a", 1)));
    }

    #[test]
    fn what_was_in_hand_when_a_lane_was_held_does_not_open_it() {
        let mut lanes = HeldLanes::default();
        lanes.hold(lane(&record("a", 2)), 5);

        assert!(!lanes.admits(&delivered(5, "a", 2)));
        assert!(lanes.admits(&delivered(6, "a", 3)));
    }

    #[test]
    fn records_without_a_key_wait_for_nobody() {
        let keyless = SinkRecordBuilder::new("/default/t").build();
        let mut lanes = HeldLanes::default();
        lanes.hold(lane(&keyless), 1);

        assert!(lanes.admits(&keyless));
    }

    #[test]
    fn the_memory_is_bounded() {
        let mut lanes = HeldLanes::default();
        for key in 0..=MOST {
            lanes.hold(Some(Lane(key as u64)), 1);
        }

        assert!(lanes.0.len() <= MOST);
    }
}
