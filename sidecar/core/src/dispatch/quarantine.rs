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
//!
//! A killer may be all there is: its lane waits for it, and nothing else comes that
//! could succeed. Then the external system itself is asked before each trial, and a
//! record that crashes trial after trial though it was said to be well is given up;
//! where nobody can say, one that does so over many crashes and for a long time
//! ([`max_age_alone`](crate::retry::RetryPolicy::max_age_alone)).

use std::{
    collections::{BTreeMap, VecDeque},
    time::{Duration, Instant},
};

use super::{Evidence, WorkerId};
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

/// Crashes in a row that convict where nothing else was there to be tried: each after
/// the external system was said to be well, or where nobody can say.
const CONVICTING_WELL: u32 = 4;
const CONVICTING_LONE: u32 = 8;

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
    lone: Lone,
}

/// A suspect's latest crashes in a row at which nothing else was there to be tried.
#[derive(Clone, Copy, Debug, Default)]
struct Lone {
    crashes: u32,
    /// Of these, the last ones, before which the external system was said to be well.
    well: u32,
    since: Option<Instant>,
}

impl Lone {
    fn crashed(&mut self, now: Instant, evidence: Evidence) {
        self.crashes = self.crashes.saturating_add(1);
        self.since.get_or_insert(now);
        match evidence {
            Evidence::SystemWell => self.well = self.well.saturating_add(1),
            Evidence::Alone => self.well = 0,
            Evidence::OtherSucceeded | Evidence::None => *self = Self::default(),
        }
    }

    /// Whether they tell enough, `doubts` being what speaks for the record and `long` how
    /// long it takes.
    fn convicts(&self, now: Instant, doubts: u32, long: Duration) -> bool {
        let since = self.since.map(|since| now.saturating_duration_since(since));
        self.well >= CONVICTING_WELL + doubts
            || (self.crashes >= CONVICTING_LONE + doubts && since >= Some(long))
    }
}

/// What follows from a crash of a suspect that was alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Finding {
    /// It is to be left aside until then.
    Aside(Instant),
    /// It kills its workers.
    Convicted,
}

impl Suspect {
    /// Something speaks for it. Tells whether what is kept of it changed.
    fn acquit(&mut self) -> bool {
        self.lone = Lone::default();
        std::mem::take(&mut self.suspicion.in_a_row) > 0
    }
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
        let suspect = Suspect { key, suspicion, crashed: None, lone: Lone::default() };
        self.suspects.insert(sequence, suspect);
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
        let suspects = self.suspects.values_mut().filter(|_| !trial);
        let spoken_for = suspects.filter_map(|suspect| suspect.acquit().then_some(suspect.key));
        spoken_for.collect()
    }

    /// The suspect's worker survived it, though it did not succeed. Tells whether
    /// that changed anything.
    pub(super) fn survived(&mut self, sequence: u64) -> bool {
        self.suspects.get_mut(&sequence).is_some_and(Suspect::acquit)
    }

    /// The suspect was alone in hand, since then, at a worker that crashed. `long` is how
    /// long it takes where only time tells.
    pub(super) fn crashed_alone(
        &mut self,
        now: Instant,
        sequence: u64,
        since: Instant,
        evidence: Evidence,
        long: Duration,
    ) -> Finding {
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
        let doubts = (elsewhere + slow).min(MOST_DOUBTS);
        suspect.lone.crashed(now, evidence);
        if suspicion.in_a_row >= CONVICTING + doubts
            || (proven && suspicion.alone >= TOO_MANY)
            || suspect.lone.convicts(now, doubts, long)
        {
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
