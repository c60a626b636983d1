//! What quarantine means for records, lanes and workers.

use std::time::Instant;

use super::{
    Breaker, Departure, Dispatch, Event, Evidence, Health, Offer, WorkerId,
    offer::Candidate,
    quarantine::{Finding, SUSPICIOUS, Suspect, Suspicion},
    worker::{Waiting, Worker},
};
use crate::{lane::Home, ledger::Place, outcome::FailureClass, record::Fingerprint, slab::Key};

impl Dispatch {
    /// Takes up what an earlier start suspected of records that were not resolved.
    /// To be called before the first [`admit`](Self::admit).
    pub fn recall(&mut self, suspicions: impl IntoIterator<Item = (Fingerprint, Suspicion)>) {
        for (fingerprint, suspicion) in suspicions {
            if !self.quarantine.recall(fingerprint, suspicion) {
                self.events.push_back(Event::Suspected { fingerprint, suspicion: None });
            }
        }
    }

    /// A record that was just taken in hand comes under what an earlier start
    /// suspected of it.
    pub(super) fn suspect_again(&mut self, key: Key) {
        let Some(entry) = self.ledger.get_mut(key) else { return };
        let Some(suspicion) = self.quarantine.recognize(entry.fingerprint) else { return };
        entry.crashes = u16::try_from(suspicion.crashes).unwrap_or(u16::MAX);
        entry.suspect = true;
        self.quarantine.insert(entry.sequence, key, suspicion);
    }

    /// A suspect is forgotten as if it had never come; what is suspected of it is
    /// remembered until it comes again.
    pub(super) fn forget_suspect(&mut self, key: Key) {
        let Some(entry) = self.ledger.get(key).filter(|entry| entry.suspect) else { return };
        let fingerprint = entry.fingerprint;
        let suspicion = self.quarantine.remove(entry.sequence);
        self.recall(suspicion.map(|suspicion| (fingerprint, suspicion)));
    }

    /// What a worker held when its stream was closed comes back.
    /// `health` is the worker's last word on its external system.
    pub(super) fn take_back(
        &mut self,
        now: Instant,
        held: &[Key],
        departure: Departure,
        health: Option<(Health, u64)>,
    ) {
        let crashed = departure == Departure::Crashed;
        let trial = held.first().filter(|_| held.len() == 1).copied();
        let trial = trial.filter(|&key| self.ledger.get(key).is_some_and(|entry| entry.suspect));
        if crashed {
            for key in self.quarantine.crashed(now, trial.is_some()) {
                self.tell_suspicion(key);
            }
        }
        for &key in held {
            let since = self.ledger.get(key).and_then(|entry| entry.place.in_hand_since());
            self.withdraw(key);
            match (crashed, trial, since) {
                (false, _, _) => {
                    self.put(key, Place::READY);
                    self.circuit.trial_released(now, key);
                }
                (true, Some(_), Some(since)) => {
                    let evidence = self.evidence(key, health);
                    self.crashed_alone(now, key, since, evidence);
                }
                (true, _, _) => self.crashed_among_others(now, key),
            }
            if crashed {
                self.circuit.trial_failed(now, key, &mut self.random);
            }
        }
    }

    fn crashed_among_others(&mut self, now: Instant, key: Key) {
        if let Some(entry) = self.ledger.get_mut(key) {
            entry.tries.crashed(now, self.signs.latest());
            entry.crashes = entry.crashes.saturating_add(1);
            if u32::from(entry.crashes) >= SUSPICIOUS && !entry.suspect {
                entry.suspect = true;
                let suspicion = Suspicion { crashes: entry.crashes.into(), ..Suspicion::default() };
                self.quarantine.insert(entry.sequence, key, suspicion);
            }
        }
        self.put(key, Place::READY);
        self.tell_suspicion(key);
    }

    fn crashed_alone(&mut self, now: Instant, key: Key, since: Instant, evidence: Evidence) {
        let Some(entry) = self.ledger.get_mut(key) else { return };
        entry.tries.crashed(now, self.signs.latest());
        entry.crashes = entry.crashes.saturating_add(1);
        let (sequence, long) = (entry.sequence, self.settings.retry.max_age_alone);
        let finding = self.quarantine.crashed_alone(now, sequence, since, evidence, long);
        self.tell_suspicion(key);
        match finding {
            Finding::Aside(until) => {
                self.put(key, Place::Again { due: Some(until), early: None });
            }
            Finding::Convicted => self.convict(now, key, evidence),
        }
        if self.quarantine.finds_it_broken() && self.breaker() == Breaker::Closed {
            self.circuit.open(now, &mut self.random);
        }
    }

    fn convict(&mut self, now: Instant, key: Key, evidence: Evidence) {
        let Some(entry) = self.ledger.get(key) else { return };
        let reason = format!(
            "its worker crashed whenever it had this record alone in hand, {} times in all, \
             and the external system is not to blame: {}",
            entry.crashes,
            match evidence {
                Evidence::SystemWell => "the connector said that it is well",
                Evidence::Alone =>
                    "it has gone on for long, and nothing else was there to be tried",
                Evidence::OtherSucceeded | Evidence::None => "other records succeeded",
            }
        );
        self.give_up(now, key, FailureClass::Crash, String::new(), reason);
    }

    /// The connector answered for a record: whatever it was, its worker survived
    /// it. Only RETRY leaves a suspect one.
    pub(super) fn survived(&mut self, key: Key) {
        let Some(entry) = self.ledger.get(key).filter(|entry| entry.suspect) else { return };
        if self.quarantine.survived(entry.sequence) {
            self.tell_suspicion(key);
        }
    }

    /// A withdrawn record is no suspect any more.
    pub(super) fn clear(&mut self, key: Key) {
        let Some(entry) = self.ledger.get_mut(key).filter(|entry| entry.suspect) else { return };
        entry.suspect = false;
        self.quarantine.remove(entry.sequence);
        let fingerprint = entry.fingerprint;
        self.events.push_back(Event::Suspected { fingerprint, suspicion: None });
    }

    fn tell_suspicion(&mut self, key: Key) {
        let Some(entry) = self.ledger.get(key).filter(|entry| entry.suspect) else { return };
        let (fingerprint, sequence) = (entry.fingerprint, entry.sequence);
        let suspicion = self.quarantine.suspicion(sequence);
        self.events.push_back(Event::Suspected { fingerprint, suspicion });
    }

    /// Says which worker is kept for suspects now: one that has one in hand, else,
    /// where one could be offered, the one that has least in hand.
    pub(super) fn choose_quarantine(&mut self, now: Instant) {
        if self.quarantine.busy {
            return;
        }
        if self.quarantine.is_empty() || self.next_suspect().is_none() {
            self.quarantine.worker = None;
            return;
        }
        let before = self.quarantine.worker;
        let open = |(_, worker): &(_, &Worker)| {
            let awaited = worker.awaits_health().is_some_and(|until| until > now);
            !worker.draining && !worker.is_paused() && !awaited
        };
        let chosen = self
            .workers
            .iter()
            .filter(open)
            .min_by_key(|&(&id, worker)| (worker.in_hand.records, Some(id) != before, id));
        self.quarantine.worker = chosen.map(|(&id, _)| id);
    }

    /// When a worker is waited for no more to say how its external system is, where a
    /// suspect could be offered.
    pub(super) fn quarantine_wakeup(&self, now: Instant) -> Option<Instant> {
        if self.quarantine.is_empty() || self.quarantine.busy {
            return None;
        }
        let awaited = self.workers.values().filter_map(Worker::awaits_health);
        awaited.filter(|&until| until > now).min()
    }

    /// Whether the worker gets nothing but suspects.
    pub(super) fn is_quarantine(&self, id: WorkerId) -> bool {
        self.quarantine.worker == Some(id)
    }

    /// Whether the worker has a suspect in hand.
    pub(super) fn holds_suspect(&self, id: WorkerId) -> bool {
        self.quarantine.busy && self.is_quarantine(id)
    }

    /// A suspect, where it is its turn and the worker holds nothing else.
    pub(super) fn offer_suspect(&mut self, now: Instant, id: WorkerId) -> Option<Vec<Offer>> {
        let empty = self.workers.get(&id).is_some_and(|worker| worker.in_hand.records == 0);
        if self.quarantine.busy || !self.is_quarantine(id) || !empty {
            return None;
        }
        let next = self.next_suspect()?;
        if !self.can_take(id, next.bytes) {
            return None;
        }
        if let Some(lane) = self.lanes.get_mut(next.lane) {
            lane.home = Home::Worker(id);
        }
        self.quarantine.busy = true;
        let offer = self.offer(now, id, next)?;
        self.circuit.offered(next.record);
        Some(vec![offer])
    }

    /// The oldest suspect that could be offered now.
    fn next_suspect(&self) -> Option<Candidate> {
        self.quarantine.suspects().find_map(|suspect| self.suspect_candidate(suspect))
    }

    fn suspect_candidate(&self, suspect: Suspect) -> Option<Candidate> {
        let record = suspect.key;
        let entry = self.ledger.get(record)?;
        let ready = matches!(entry.place, Place::Fresh | Place::Again { due: None, .. });
        let key = entry.lane.filter(|_| ready)?;
        let lane = self.lanes.get(key)?;
        if lane.head() != Some(record) || lane.in_hand > 0 || lane.holds > 0 {
            return None;
        }
        let waiting = Waiting { sequence: entry.sequence, admitted: entry.admitted };
        let (bytes, most) = (entry.bytes, entry.most());
        Some(Candidate { home: lane.home, lane: key, record, waiting, bytes, most })
    }
}
