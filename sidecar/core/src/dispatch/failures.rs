//! What the failures of one frame tell about their records.
//!
//! A connector may write a batch as a whole: then one bad record makes all of it
//! fail. So an attempt counts only against a record that failed alone:
//! - Two or more of one batch that a frame answers with RETRY failed *together*. They
//!   come back in batches of half that size at most, each half at its own time, until
//!   the bad one is alone and the others are written.
//! - A RETRY for what was in hand *behind* an unwritten record of its lane is none of
//!   its own. Where all that a frame says of a batch is RETRY for one lane, that too
//!   is a batch that failed as a whole.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use super::{Dispatch, WorkerId};
use crate::{
    ledger::{Batch, Place},
    outcome::{Failure, Outcome, Results},
    slab::Key,
};

/// What a RETRY tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tells {
    /// The record failed.
    Alone,
    /// It was one of the records that failed together.
    Together(Part),
    /// It was held back behind another record, or failed in a batch of one lane.
    Behind {
        /// The most of a batch that it may come back in, where its batch failed.
        most: Option<u16>,
    },
}

/// A record's part in a batch that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Part {
    /// The most of a batch that it may come back in.
    pub(super) most: u16,
    /// How much longer than asked for its half waits.
    pub(super) spread: Duration,
    /// Whether it is the one that speaks for the batch: the connector failed once.
    pub(super) first: bool,
}

/// A failure of a delivery that was open.
#[derive(Clone, Copy, Debug)]
pub(super) struct Failed<'a> {
    pub(super) key: Key,
    pub(super) failure: &'a Failure,
    pub(super) tells: Tells,
    sequence: u64,
    /// None where it was alone in its batch.
    batch: Option<Batch>,
}

/// What a frame says of one batch.
#[derive(Debug, Default)]
struct Count {
    failed: usize,
    behind: usize,
    /// How many of those that failed have their part by now.
    placed: usize,
    spread: [Duration; 2],
}

impl Count {
    fn add(&mut self, tells: Tells) {
        match tells {
            Tells::Behind { .. } => self.behind += 1,
            Tells::Alone | Tells::Together(_) => self.failed += 1,
        }
    }

    /// Whether it failed as a whole, or some of it did together. `answered` tells
    /// whether the frame says something else of it besides.
    fn is_together(&self, answered: bool) -> bool {
        self.failed >= 2 || (self.failed == 1 && self.behind > 0 && !answered)
    }

    fn most(&self) -> u16 {
        let half = ((self.failed + self.behind) / 2).max(1);
        u16::try_from(half).unwrap_or(u16::MAX).min(u16::MAX - 1)
    }

    fn part(&mut self) -> Part {
        let half = usize::from(2 * self.placed >= self.failed);
        self.placed += 1;
        Part { most: self.most(), spread: self.spread[half], first: self.placed == 1 }
    }
}

impl Dispatch {
    /// The failures of deliveries that are open, in the order of their records, and
    /// what each tells. `answered` are batches of which the frame acked something.
    pub(super) fn failures<'a>(
        &mut self,
        worker: WorkerId,
        results: &'a Results,
        mut answered: BTreeSet<Batch>,
    ) -> Vec<Failed<'a>> {
        let mut failed = self.open_failures(worker, results);
        let mut counts = BTreeMap::<Batch, Count>::new();
        for failed in &mut failed {
            match failed.failure.outcome {
                Outcome::Retry { .. } => {
                    if self.is_behind(failed) {
                        failed.tells = Tells::Behind { most: None };
                    }
                    if let Some(batch) = failed.batch {
                        counts.entry(batch).or_default().add(failed.tells);
                    }
                    self.hold_back_behind(worker, failed);
                }
                Outcome::Busy { .. } => {
                    answered.extend(failed.batch);
                    self.hold_back_behind(worker, failed);
                }
                Outcome::Reject | Outcome::Filtered => answered.extend(failed.batch),
            }
        }
        counts.retain(|batch, count| count.is_together(answered.contains(batch)));
        for count in counts.values_mut() {
            count.spread = [(); 2].map(|()| self.settings.retry.backoff(1, &mut self.random));
        }
        for failed in &mut failed {
            let count = failed.batch.and_then(|batch| counts.get_mut(&batch));
            let Some(count) = count else { continue };
            failed.tells = match failed.tells {
                Tells::Behind { .. } => Tells::Behind { most: Some(count.most()) },
                Tells::Alone | Tells::Together(_) => Tells::Together(count.part()),
            };
        }
        failed
    }

    fn open_failures<'a>(&mut self, worker: WorkerId, results: &'a Results) -> Vec<Failed<'a>> {
        let Some(worker) = self.workers.get(&worker) else { return Vec::new() };
        let open = results.failures.iter().filter_map(|failure| {
            let key = worker.deliveries.open(failure.delivery.0)?;
            let entry = self.ledger.get(key)?;
            let (sequence, batch) = (entry.sequence, entry.batch);
            Some(Failed { key, failure, tells: Tells::Alone, sequence, batch })
        });
        let mut failed: Vec<_> = open.collect();
        failed.sort_by_key(|failed| failed.sequence);
        failed.dedup_by_key(|failed| failed.key);
        self.late_failures += (results.failures.len() - failed.len()) as u64;
        failed
    }

    fn is_behind(&self, failed: &Failed<'_>) -> bool {
        let Some(entry) = self.ledger.get(failed.key) else { return false };
        let Place::InHand { delivery, .. } = entry.place else { return false };
        let lane = entry.lane.and_then(|lane| self.lanes.get(lane));
        lane.is_some_and(|lane| lane.behind.holds(entry.sequence, delivery))
    }

    /// What the worker has in hand behind this record, it does not write either.
    fn hold_back_behind(&mut self, worker: WorkerId, failed: &Failed<'_>) {
        let Some(issued) = self.workers.get(&worker).map(|worker| worker.deliveries.issued())
        else {
            return;
        };
        let lane = self.ledger.get(failed.key).and_then(|entry| entry.lane);
        if let Some(lane) = lane.and_then(|lane| self.lanes.get_mut(lane)) {
            lane.behind.unwritten(failed.sequence, issued);
        }
    }
}
