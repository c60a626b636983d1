//! The records that fail, for an operator: each may hold up others.

use std::{sync::Arc, time::Instant};

use super::{Dispatch, RecordId, WorkerId};
use crate::{
    ledger::{Entry, Parked, Place},
    record::Record,
    slab::Key,
};

/// A record that failed, or that may be what crashed its workers, and is not resolved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failing {
    /// Names it in [`operate`](Dispatch::operate).
    pub id: RecordId,
    /// The record.
    pub record: Arc<Record>,
    /// What it waits for.
    pub stage: Stage,
    /// Its attempts so far.
    pub attempt: u32,
    /// The failed ones that count, towards `max_retries`.
    pub counted: u32,
    /// Crashes of workers that had it in hand.
    pub crashes: u32,
    /// When it failed first.
    pub since: Instant,
    /// The connector's last code; empty where there was none.
    pub code: Arc<str>,
    /// The connector's last words, cut.
    pub reason: Arc<str>,
    /// Records that wait behind it in its lane.
    pub behind: usize,
}

/// What a record that failed waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Its next attempt, at this time; none: a worker with room.
    Retry(Option<Instant>),
    /// The answer of this worker.
    AtWorker(WorkerId),
    /// The operator.
    Suspended,
    /// The confirmation of its dead letter.
    DeadLetter,
}

impl Dispatch {
    /// Up to `most` of the records that fail and that `are` wanted, those that have failed
    /// for the longest time first. Walks over everything in hand.
    pub fn failing(&self, most: usize, are: impl Fn(&Failing) -> bool) -> Vec<Failing> {
        let mut failing: Vec<_> = self
            .ledger
            .iter()
            .filter(|(_, entry)| entry.fails())
            .map(|(key, entry)| (since(entry), entry.sequence, key))
            .collect();
        failing.sort_unstable();
        let described = failing.into_iter().filter_map(|(.., key)| self.describe(key));
        described.filter(are).take(most).collect()
    }

    /// A record that fails, as an operator sees it.
    pub(super) fn describe(&self, key: Key) -> Option<Failing> {
        let entry = self.ledger.get(key).filter(|entry| entry.fails())?;
        let words = self.last_words.of(entry.sequence);
        let lane = entry.lane.and_then(|lane| self.lanes.get(lane));
        Some(Failing {
            id: RecordId(key.to_bits()),
            record: Arc::clone(&entry.record),
            stage: stage(entry.place),
            attempt: entry.attempt,
            counted: entry.tries.counted(),
            crashes: entry.crashes.into(),
            since: since(entry),
            code: words.code.as_ref().into(),
            reason: words.reason.as_ref().into(),
            behind: lane.map_or(0, |lane| lane.members.saturating_sub(1)),
        })
    }
}

/// One that was suspected before this start has not failed in this life.
fn since(entry: &Entry) -> Instant {
    entry.tries.first_failure().unwrap_or(entry.admitted)
}

fn stage(place: Place) -> Stage {
    match place {
        Place::Fresh => Stage::Retry(None),
        Place::Again { due, .. } => Stage::Retry(due),
        Place::InHand { worker, .. } => Stage::AtWorker(worker),
        Place::Parked(Parked::Suspended) => Stage::Suspended,
        Place::Parked(Parked::DeadLetter) => Stage::DeadLetter,
    }
}
