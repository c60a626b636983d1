//! Finds the record that crashes its workers, and wrongs no other.
//!
//! A record in hand at two crashes is a suspect: it is offered alone to a worker
//! that holds nothing else, one suspect at a time, the oldest first. Any result but
//! RETRY clears it. It is given up only when it was alone in hand at crash after
//! crash, while other records succeeded in between.
//!
//! Workers are killed from outside, too, and any record may be in hand then. What
//! keeps a healthy one from being hit again and again:
//! - After a crash it is left aside for a while, long for the time that it was in
//!   hand, and meanwhile everything else flows. Who kills workers often enough to
//!   hit it twice will hit others meanwhile, and such a crash speaks for it.
//! - For each crash without it, of the last minutes, it takes one crash more, and
//!   also when it was long in hand.

use std::{
    collections::{BTreeMap, VecDeque},
    time::{Duration, Instant},
};

use super::WorkerId;
use crate::{hash::PrehashedMap, record::Fingerprint, slab::Key};

/// In hand at that many crashes makes a suspect (contract §4).
pub(super) const SUSPICIOUS: u32 = 2;

/// Crashes alone in a row that convict.
const CONVICTING: u32 = 2;

/// In hand for so long at a crash: for each of these one crash more, because the
/// longer it takes, the more likely is a kill from outside.
const SLOW: [Duration; 2] = [Duration::from_millis(20), Duration::from_millis(200)];

/// How many more it takes at most, for all reasons.
const MOST_DOUBTS: u32 = 4;

/// How long a crash is remembered, and how many are.
const RECENT: Duration = Duration::from_secs(600);
const MOST_CRASHES: usize = 64;

/// Crashes alone that convict although others came between: where workers are
/// killed all the time, a record must not be tried for ever.
const TOO_MANY: u32 = 16;

/// Crashes alone, of any suspects, without an answer between, that show that the
/// connector does not work at all.
const BROKEN: u32 = 2;

/// How long a suspect is left aside after a crash: so many times as long as it was
/// in hand, within these bounds.
const ASIDE_FACTOR: u32 = 16;
const SHORTEST_ASIDE: Duration = Duration::from_secs(1);
const LONGEST_ASIDE: Duration = Duration::from_secs(4);

/// Most suspicions that are remembered of an earlier start.
const MOST_RECALLED: usize = 10_000;

/// What is suspected of a record, for a store to keep.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Suspicion {
    /// Crashes of workers that had it in hand.
    pub crashes: u32,
    /// Of these, those that had nothing else in hand and tell something about it:
    /// another record succeeded since the one before.
    pub alone: u32,
    /// Of these, the last ones, between which nothing spoke for the record.
    pub in_a_row: u32,
}

/// All suspects.
#[derive(Debug, Default)]
pub(super) struct Quarantine {
    /// By the sequence of their records.
    suspects: BTreeMap<u64, Suspect>,
    /// Suspicions of an earlier start, until their records come.
    recalled: PrehashedMap<Fingerprint, Suspicion>,
    /// The worker that has a suspect in hand, or is to empty its hands for one.
    pub(super) worker: Option<WorkerId>,
    /// Whether it has one in hand.
    pub(super) busy: bool,
    /// The latest crashes of workers, of the last minutes.
    crashes: VecDeque<Instant>,
    /// Of suspects alone, since the last answer.
    unanswered: u32,
    /// When the last offered of all records that succeeded was offered.
    proof: Option<Instant>,
}

/// A record that may be what crashes workers.
#[derive(Clone, Copy, Debug)]
pub(super) struct Suspect {
    pub(super) key: Key,
    pub(super) suspicion: Suspicion,
    /// Its last crash alone, in this life of the sidecar.
    crashed: Option<Instant>,
}

/// What follows from a crash of a suspect that was alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Finding {
    /// It is to be left aside until then.
    Aside(Instant),
    /// It kills its workers.
    Convicted,
}

impl Quarantine {
    /// Whether there are none.
    pub(super) fn is_empty(&self) -> bool {
        self.suspects.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.suspects.len()
    }

    /// The oldest first.
    pub(super) fn suspects(&self) -> impl Iterator<Item = Suspect> {
        self.suspects.values().copied()
    }

    pub(super) fn insert(&mut self, sequence: u64, key: Key, suspicion: Suspicion) {
        self.suspects.insert(sequence, Suspect { key, suspicion, crashed: None });
    }

    pub(super) fn remove(&mut self, sequence: u64) -> Option<Suspicion> {
        self.suspects.remove(&sequence).map(|suspect| suspect.suspicion)
    }

    pub(super) fn suspicion(&self, sequence: u64) -> Option<Suspicion> {
        self.suspects.get(&sequence).map(|suspect| suspect.suspicion)
    }

    /// Remembers a suspicion until its record comes. Tells whether there was room.
    pub(super) fn recall(&mut self, fingerprint: Fingerprint, suspicion: Suspicion) -> bool {
        let room = self.recalled.len() < MOST_RECALLED;
        if room {
            self.recalled.insert(fingerprint, suspicion);
        }
        room
    }

    /// What was remembered of a record that comes now.
    pub(super) fn recognize(&mut self, fingerprint: Fingerprint) -> Option<Suspicion> {
        if self.recalled.is_empty() { None } else { self.recalled.remove(&fingerprint) }
    }

    /// The connector acked, filtered or rejected a record.
    pub(super) fn answered(&mut self) {
        self.unanswered = 0;
    }

    /// A record succeeded that was offered at `since`.
    pub(super) fn succeeded(&mut self, since: Instant) {
        self.proof = self.proof.max(Some(since));
    }

    /// A worker crashed. Unless it was a suspect's trial, that speaks for all who
    /// were not in its hands; tells whose suspicion changed.
    pub(super) fn crashed(&mut self, now: Instant, trial: bool) -> Vec<Key> {
        let is_old = |at: &Instant| now.saturating_duration_since(*at) > RECENT;
        while self.crashes.len() == MOST_CRASHES || self.crashes.front().is_some_and(is_old) {
            self.crashes.pop_front();
        }
        self.crashes.push_back(now);
        let spoken_for = |suspect: &&mut Suspect| !trial && suspect.suspicion.in_a_row > 0;
        let suspects = self.suspects.values_mut().filter(spoken_for);
        suspects
            .map(|suspect| {
                suspect.suspicion.in_a_row = 0;
                suspect.key
            })
            .collect()
    }

    /// The suspect's worker survived it, though it did not succeed. Tells whether
    /// that changed anything.
    pub(super) fn survived(&mut self, sequence: u64) -> bool {
        let Some(suspect) = self.suspects.get_mut(&sequence) else { return false };
        std::mem::take(&mut suspect.suspicion.in_a_row) > 0
    }

    /// The suspect was alone in hand, since then, at a worker that crashed.
    pub(super) fn crashed_alone(&mut self, now: Instant, sequence: u64, since: Instant) -> Finding {
        self.unanswered = self.unanswered.saturating_add(1);
        let Some(suspect) = self.suspects.get_mut(&sequence) else {
            return Finding::Aside(now);
        };
        let before = suspect.crashed.replace(now);
        let suspicion = &mut suspect.suspicion;
        suspicion.crashes = suspicion.crashes.saturating_add(1);
        let proven = self.proof.is_some_and(|proof| before.is_none_or(|before| proof >= before));
        if proven || suspicion.alone == 0 {
            suspicion.alone = suspicion.alone.saturating_add(1);
            suspicion.in_a_row = suspicion.in_a_row.saturating_add(1);
        } else {
            suspicion.in_a_row = 1;
        }
        let elsewhere = (self.crashes.len() as u32).saturating_sub(suspicion.crashes);
        let in_hand = now.saturating_duration_since(since);
        let slow = SLOW.iter().filter(|&&slow| in_hand >= slow).count() as u32;
        let convicting = CONVICTING + (elsewhere + slow).min(MOST_DOUBTS);
        if suspicion.in_a_row >= convicting || (proven && suspicion.alone >= TOO_MANY) {
            return Finding::Convicted;
        }
        let aside = in_hand.saturating_mul(ASIDE_FACTOR).clamp(SHORTEST_ASIDE, LONGEST_ASIDE);
        Finding::Aside(now + aside)
    }

    /// Whether suspects crash one worker after the other and nothing is answered.
    pub(super) fn finds_it_broken(&self) -> bool {
        self.unanswered >= BROKEN
    }
}
