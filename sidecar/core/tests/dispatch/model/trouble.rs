//! The naive model's breaker and quarantine.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use danube_sidecar_core::{
    dispatch::{Breaker, DeadLetter, Departure, Evidence, Suspicion, WorkerId},
    outcome::FailureClass,
    record::{Fingerprint, Record},
};

use super::naive::{Entry, Model, State};

const SHORTEST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(4);
const SHORTEST_ASIDE: Duration = Duration::from_secs(1);
pub(super) const LONGEST_ASIDE: Duration = Duration::from_secs(4);

#[derive(Debug, Default)]
pub(crate) struct Trouble {
    pub(super) breaker: Breaker,
    opened: Option<Instant>,
    retries: u32,
    /// The entry that is on trial while the breaker is half-open.
    pub(super) trial: Option<usize>,
    /// Lone crashes since the last answer.
    unanswered: u32,
    /// When the last offered of all records that succeeded was offered.
    proof: Option<Instant>,
    /// What a store would hold.
    stored: BTreeMap<Fingerprint, Suspicion>,
}

/// What one frame of results was, to the breaker.
#[derive(Debug, Default)]
pub(super) struct Heard {
    pub(super) answered: bool,
    pub(super) retried: Vec<usize>,
    pub(super) held_back: Vec<usize>,
}

impl Model {
    pub(super) fn succeeded(&mut self, at: usize) {
        if let State::InHand { since, .. } = self.entries[at].state {
            self.trouble.proof = self.trouble.proof.max(Some(since));
        }
    }

    pub(super) fn heard(&mut self, heard: &Heard, now: Instant) {
        let trouble = &mut self.trouble;
        trouble.retries += heard.retried.len() as u32;
        let too_many = trouble.breaker == Breaker::Closed && trouble.retries >= 20;
        if heard.answered {
            (trouble.breaker, trouble.trial) = (Breaker::Closed, None);
            (trouble.retries, trouble.unanswered) = (0, 0);
        } else if too_many
            || heard.retried.iter().chain(&heard.held_back).any(|&at| self.is_on_trial(at))
        {
            self.open(now);
        }
    }

    fn is_on_trial(&self, at: usize) -> bool {
        self.trouble.trial == Some(at)
    }

    fn open(&mut self, now: Instant) {
        let trouble = &mut self.trouble;
        (trouble.breaker, trouble.opened, trouble.trial) = (Breaker::Open, Some(now), None);
        self.end_outage_backoffs();
    }

    fn end_outage_backoffs(&mut self) {
        for entry in &mut self.entries {
            let State::Waiting { not_before: Some(_) } = entry.state else { continue };
            let Some(early) = entry.early else { continue };
            entry.state = State::Waiting { not_before: Some(early) };
        }
    }

    pub(super) fn joined(&mut self) {
        if self.trouble.breaker == Breaker::Open {
            self.trouble.breaker = Breaker::HalfOpen;
        }
    }

    pub(super) fn timed_out(&mut self, id: WorkerId, now: Instant) {
        if self.trouble.trial.is_some_and(|at| self.entries[at].in_hand_at(id)) {
            self.open(now);
        }
    }

    /// The breaker was said to have changed.
    pub(crate) fn breaker_is(&mut self, breaker: Breaker, now: Instant) {
        if breaker == Breaker::HalfOpen && self.trouble.breaker == Breaker::Open {
            let pause = now - self.trouble.opened.expect("it is open");
            assert!(pause >= SHORTEST_PAUSE, "half-open after {pause:?}");
            self.trouble.breaker = breaker;
        }
        if breaker == Breaker::Open {
            self.end_outage_backoffs();
        }
    }

    pub(super) fn breaker_agrees(&self, breaker: Breaker, now: Instant) {
        assert_eq!(breaker, self.trouble.breaker);
        if breaker == Breaker::Open {
            assert!(self.trouble.opened.is_some_and(|at| now - at < LONGEST_PAUSE));
        }
    }

    /// Whether the breaker lets a record be offered; notes it as the trial.
    pub(super) fn breaker_admits(&mut self, at: usize) {
        match self.trouble.breaker {
            Breaker::Closed => {}
            Breaker::Open => panic!("offered while the breaker is open"),
            Breaker::HalfOpen => {
                let before = self.trouble.trial.replace(at);
                assert_eq!(before, None, "a second record while half-open");
            }
        }
    }

    /// A suspect is alone at its worker, and the only one in hand.
    pub(super) fn quarantine_admits(&self, id: WorkerId, at: usize) {
        let in_hand = |entry: &&Entry| matches!(entry.state, State::InHand { .. });
        if self.entries[at].suspect {
            assert_eq!(self.load(id).records, 0, "a suspect is not alone");
            assert!(!self.entries.iter().filter(in_hand).any(|entry| entry.suspect));
        } else {
            let beside = |entry: &Entry| entry.in_hand_at(id) && entry.suspect;
            assert!(!self.entries.iter().any(beside), "offered beside a suspect");
        }
    }

    /// What the worker held comes back.
    pub(super) fn comes_back(&mut self, id: WorkerId, departure: Departure, now: Instant) {
        let held: Vec<_> =
            (0..self.entries.len()).filter(|&at| self.entries[at].in_hand_at(id)).collect();
        let on_trial = held.iter().any(|&at| self.is_on_trial(at));
        let alone = held.len() == 1 && self.entries[held[0]].suspect;
        let tried = self.history.len();
        let evidence = held.first().map(|&at| self.evidence(at, self.worker(id).health));
        for &at in &held {
            let entry = &mut self.entries[at];
            entry.state = State::Waiting { not_before: None };
            if departure == Departure::Crashed {
                entry.first_failure.get_or_insert(now);
                entry.tried = tried;
                entry.crashes += 1;
                entry.suspect |= entry.crashes >= 2;
            }
        }
        if departure == Departure::Released {
            self.trouble.trial = self.trouble.trial.filter(|_| !on_trial);
            return;
        }
        match evidence {
            Some(evidence) if alone => self.crashed_alone(held[0], evidence, now),
            _ => self.speaks_for_suspects(),
        }
        if on_trial {
            self.open(now);
        }
    }

    fn crashed_alone(&mut self, at: usize, evidence: Evidence, now: Instant) {
        let entry = &mut self.entries[at];
        entry.lone_crash(evidence, now);
        entry.state = State::Waiting { not_before: Some(now + SHORTEST_ASIDE) };
        entry.early = None;
        entry.alone.push(now);
        self.trouble.unanswered += 1;
        if self.trouble.unanswered >= 2 && self.trouble.breaker == Breaker::Closed {
            self.open(now);
        }
    }

    pub(crate) fn look_at_letter(&mut self, letter: &DeadLetter) {
        if letter.class == FailureClass::Crash {
            self.convicted(&letter.record);
        }
    }

    /// A CRASH letter is for a suspect that was alone at two crashes, and another
    /// record, offered after the first of them, succeeded.
    fn convicted(&mut self, record: &Record) {
        let at = self.entries.iter().rposition(|entry| entry.is(record)).expect("admitted");
        let entry = &self.entries[at];
        if matches!(entry.state, State::Letter(_)) {
            return; // The operator said so.
        }
        assert!(entry.suspect && entry.is_waiting() && entry.crashes >= 4);
        let [.., before, _] = entry.alone[..] else { panic!("CRASH after {:?}", entry.alone) };
        let proven = self.trouble.proof.is_some_and(|proof| proof >= before);
        assert!(proven || entry.lone_killer(self.rules.retry), "{:?}", entry.lone);
        self.give_up(at, FailureClass::Crash);
    }

    pub(crate) fn keep(&mut self, fingerprint: Fingerprint, suspicion: Option<Suspicion>) {
        match suspicion {
            Some(suspicion) => _ = self.trouble.stored.insert(fingerprint, suspicion),
            None => assert!(self.trouble.stored.remove(&fingerprint).is_some(), "nothing kept"),
        }
    }

    /// The store knows every unresolved suspect, and nobody else.
    pub(super) fn suspicions_agree(&self) {
        let suspects: Vec<_> = self.entries.iter().filter(|entry| entry.suspect).collect();
        assert_eq!(suspects.len(), self.trouble.stored.len());
        for entry in suspects {
            let stored = self.trouble.stored[&entry.record.identity.fingerprint()];
            assert_eq!(stored.crashes, entry.crashes);
            assert!(stored.alone <= entry.alone.len() as u32);
            assert!(stored.in_a_row <= stored.alone.max(1));
        }
    }
}
