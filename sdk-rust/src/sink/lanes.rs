//! Order per key, while records are on their way.

use std::{collections::HashSet, hash::BuildHasher as _};

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
/// already sent when it heard of it is still under way, and must not overtake.
#[derive(Debug, Default)]
pub(crate) struct HeldLanes(HashSet<Lane>);

impl HeldLanes {
    /// The record is to be retried: hold what follows in its lane.
    pub(crate) fn hold(&mut self, lane: Option<Lane>) {
        if self.0.len() >= MOST {
            self.0.clear();
        }
        self.0.extend(lane);
    }

    /// Whether the record may be processed. One that is offered again opens its
    /// lane: the sidecar decides what comes first.
    pub(crate) fn admits(&mut self, record: &SinkRecord) -> bool {
        if self.0.is_empty() {
            return true;
        }
        let Some(lane) = lane(record) else { return true };
        if record.attempt() > 1 {
            self.0.remove(&lane);
        }
        !self.0.contains(&lane)
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

    #[test]
    fn what_follows_a_retried_record_is_held() {
        let mut lanes = HeldLanes::default();
        lanes.hold(lane(&record("a", 1)));

        assert!(!lanes.admits(&record("a", 1)));
        assert!(lanes.admits(&record("b", 1)));
    }

    #[test]
    fn a_record_that_is_offered_again_opens_its_lane() {
        let mut lanes = HeldLanes::default();
        lanes.hold(lane(&record("a", 1)));

        assert!(lanes.admits(&record("a", 2)));
        assert!(lanes.admits(&record("a", 1)));
    }

    #[test]
    fn records_without_a_key_wait_for_nobody() {
        let keyless = SinkRecordBuilder::new("/default/t").build();
        let mut lanes = HeldLanes::default();
        lanes.hold(lane(&keyless));

        assert!(lanes.admits(&keyless));
    }

    #[test]
    fn the_memory_is_bounded() {
        let mut lanes = HeldLanes::default();
        for key in 0..=MOST {
            lanes.hold(Some(Lane(key as u64)));
        }

        assert!(lanes.0.len() <= MOST);
    }
}
