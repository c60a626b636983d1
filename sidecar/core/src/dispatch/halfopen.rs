//! What the breaker's state means for the records.

use std::time::Instant;

use super::{Breaker, Dispatch, Event, Offer, WorkerId, offer::Candidate};
use crate::{lane::Home, ledger::Place};

impl Dispatch {
    /// Whether records flow.
    pub fn breaker(&self) -> Breaker {
        self.circuit.breaker()
    }

    /// Tells the driver when the breaker has changed.
    pub(super) fn tell_breaker(&mut self, now: Instant) {
        let breaker = self.breaker();
        if std::mem::replace(&mut self.told, breaker) == breaker {
            return;
        }
        self.events.push_back(Event::Breaker(breaker));
        if breaker == Breaker::Open {
            self.end_outage_backoffs(now);
        }
    }

    /// The breaker's pause takes the place of the backoffs that the outage is to
    /// blame for, so that everything flows as soon as it closes.
    fn end_outage_backoffs(&mut self, now: Instant) {
        let waiting: Vec<_> = self.retries.iter().map(|&(_, key)| key).collect();
        for key in waiting {
            let place = self.ledger.get(key).map(|entry| entry.place);
            let Some(Place::Again { early: Some(early), .. }) = place else { continue };
            self.withdraw(key);
            let due = Some(early).filter(|&early| early > now);
            self.put(key, Place::Again { due, early: due });
            self.settle_lane_of(key);
        }
    }

    /// The record on trial has no result in time.
    pub(super) fn trial_timed_out(&mut self, now: Instant, id: WorkerId) {
        let Some(key) = self.circuit.trial() else { return };
        let place = self.ledger.get(key).map(|entry| entry.place);
        if matches!(place, Some(Place::InHand { worker, .. }) if worker == id) {
            self.circuit.trial_failed(now, key, &mut self.random);
            self.tell_breaker(now);
        }
    }

    /// The one record that a half-open breaker allows, if it is for this worker.
    ///
    /// It is the oldest of those that were offered least often: one bad record must
    /// not stand for all others at every trial. A suspect is tried where there is
    /// nothing else.
    pub(super) fn offer_trial(
        &mut self,
        now: Instant,
        id: WorkerId,
        choosy: bool,
    ) -> Option<Vec<Offer>> {
        let Some(first) = self.first_choice(None) else { return self.offer_suspect(now, id) };
        let next = if choosy { first } else { self.first_choice(Some(id))? };
        if !self.may_have(id, &next) {
            return None;
        }
        if let Some(queue) = self.queue_mut(next.home) {
            queue.lanes.retain(|&lane| lane != next.lane);
        }
        self.lanes.get_mut(next.lane)?.queued = false;
        let offer = self.offer(now, id, next)?;
        self.note_oldest(next.home);
        self.circuit.offered(next.record);
        Some(vec![offer])
    }

    /// Of what any worker may have now, or only this one. Walks over all lanes.
    fn first_choice(&self, only: Option<WorkerId>) -> Option<Candidate> {
        let may_have = |next: &Candidate| match only {
            Some(id) => self.may_have(id, next),
            None => self.workers.keys().any(|&id| self.may_have(id, next)),
        };
        let candidates = self.lanes.iter().filter_map(|(key, lane)| self.candidate(lane.home, key));
        candidates.filter(may_have).min_by_key(|next| {
            let attempt = self.ledger.get(next.record).map(|entry| entry.attempt);
            (attempt, next.waiting.sequence)
        })
    }

    fn may_have(&self, id: WorkerId, next: &Candidate) -> bool {
        let at_home = matches!(next.home, Home::Anyone) || next.home == Home::Worker(id);
        at_home && self.can_take(id, next.bytes) && !self.holds_suspect(id)
    }
}
