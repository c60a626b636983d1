//! What results mean, and how a record comes to its end.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    Breaker, DeadLetter, Dispatch, Event, Evidence, RecordId, Violation, WorkerId,
    breaker::LONGEST_PAUSE,
};
use crate::{
    ledger::{Parked, Place},
    outcome::{DeliveryId, Failure, FailureClass, Outcome, Resolution, Results},
    retry::{OnExhausted, Verdict},
    slab::Key,
};

/// A connector's `retry_after` beyond this means this.
const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(365 * 24 * 3600);

impl Dispatch {
    /// Applies one frame of results, or nothing of it. One from a worker that has
    /// left changes nothing.
    ///
    /// # Errors
    /// [`Violation`] when the frame breaks the protocol.
    pub fn results(
        &mut self,
        now: Instant,
        worker: WorkerId,
        results: &Results,
    ) -> Result<(), Violation> {
        let Some(issued) = self.workers.get(&worker).map(|worker| worker.deliveries.issued())
        else {
            return Ok(());
        };
        check(results, issued)?;
        let mut failed: Vec<_> = results.failures.iter().map(|failure| failure.delivery).collect();
        failed.sort_unstable();
        for &range in &results.acked {
            self.ack_range(worker, range, &failed);
        }
        for failure in &results.failures {
            self.fail(now, worker, failure);
        }
        self.circuit.end_of_frame(now, &mut self.random);
        self.tell_breaker(now);
        Ok(())
    }

    /// The dead letter is confirmed, so the record is resolved.
    pub fn dead_lettered(&mut self, _now: Instant, record: RecordId) {
        let Some(key) = Key::from_bits(record.0) else { return };
        let parked = self.ledger.get(key).map(|entry| entry.place);
        if parked == Some(Place::Parked(Parked::DeadLetter)) {
            self.resolve(key, Resolution::DeadLettered);
        }
    }

    /// Puts a record that was [`withdraw`](Self::withdraw)n in its new place.
    pub(super) fn put(&mut self, key: Key, place: Place) {
        let Some(entry) = self.ledger.get_mut(key) else { return };
        entry.place = place;
        if let Place::Again { due: Some(due), .. } = place {
            self.retries.insert((due, key));
        }
        let Some(lane) = entry.lane.and_then(|lane| self.lanes.get_mut(lane)) else { return };
        match place {
            Place::Again { .. } => _ = lane.again.insert(entry.sequence, key),
            Place::InHand { .. } => lane.in_hand += 1,
            Place::Fresh | Place::Parked(_) => {}
        }
        lane.holds += usize::from(entry.holds_lane());
    }

    /// Takes a record that was offered out of its place: the worker's hands, its
    /// lane, its backoff.
    pub(super) fn withdraw(&mut self, key: Key) {
        let Some(entry) = self.ledger.get(key) else { return };
        match entry.place {
            Place::InHand { worker, delivery, .. } => {
                self.quarantine.busy &= !entry.suspect;
                if let Some(worker) = self.workers.get_mut(&worker) {
                    worker.release(entry.bytes);
                    worker.deliveries.close(delivery);
                }
            }
            Place::Again { due: Some(due), .. } => _ = self.retries.remove(&(due, key)),
            Place::Again { due: None, .. } | Place::Fresh | Place::Parked(_) => {}
        }
        let Some(lane) = entry.lane.and_then(|lane| self.lanes.get_mut(lane)) else { return };
        match entry.place {
            Place::Again { .. } => _ = lane.again.remove(&entry.sequence),
            Place::InHand { .. } => lane.in_hand -= 1,
            Place::Fresh | Place::Parked(_) => {}
        }
        lane.holds -= usize::from(entry.holds_lane());
    }

    /// Gives a withdrawn record up: it becomes a dead letter where there are any.
    pub(super) fn give_up(
        &mut self,
        now: Instant,
        key: Key,
        class: FailureClass,
        code: String,
        reason: String,
    ) {
        self.put(key, Place::Parked(Parked::DeadLetter));
        let Some(entry) = self.ledger.get(key) else { return };
        self.last_words.keep(entry.sequence, &code, &reason);
        let letter = DeadLetter {
            id: RecordId(key.to_bits()),
            record: Arc::clone(&entry.record),
            class,
            code,
            reason,
            attempt: entry.attempt,
            first_failure: entry.tries.first_failure().unwrap_or(now),
        };
        if self.settings.has_letters_for(class) {
            self.events.push_back(Event::DeadLetter(letter));
            self.settle_lane_of(key);
        } else {
            self.events.push_back(Event::GivenUp(letter));
            self.resolve(key, Resolution::Skipped);
        }
    }

    /// Acks what is open or late in a range, except what failed in the same frame.
    fn ack_range(
        &mut self,
        id: WorkerId,
        (first, last): (DeliveryId, DeliveryId),
        failed: &[DeliveryId],
    ) {
        let Some(worker) = self.workers.get(&id) else { return };
        for delivery in worker.deliveries.candidates(first.0, last.0).into_ids() {
            if failed.is_empty() || failed.binary_search(&DeliveryId(delivery)).is_err() {
                self.ack(id, delivery);
            }
        }
    }

    fn ack(&mut self, worker: WorkerId, delivery: u64) {
        let Some(worker) = self.workers.get_mut(&worker) else { return };
        if let Some(key) = worker.deliveries.open(delivery) {
            self.ack_record(key);
        } else if let Some(key) = worker.deliveries.take_late(delivery) {
            self.ack_record(key);
        }
    }

    fn ack_record(&mut self, key: Key) {
        self.heard(key, true);
        self.resolve(key, Resolution::Acked);
    }

    /// The connector answered for an unresolved record, and not with RETRY.
    fn heard(&mut self, key: Key, succeeded: bool) {
        let Some(entry) = self.ledger.get(key) else { return };
        self.circuit.answered();
        self.quarantine.answered();
        if let Some(since) = entry.place.in_hand_since().filter(|_| succeeded) {
            self.quarantine.succeeded(since);
        }
    }

    fn fail(&mut self, now: Instant, id: WorkerId, failure: &Failure) {
        let Some(worker) = self.workers.get(&id) else { return };
        let Some(key) = worker.deliveries.open(failure.delivery.0) else {
            self.late_failures += 1;
            return;
        };
        let (code, reason) = (failure.code.clone(), failure.message.clone());
        match failure.outcome {
            Outcome::Filtered => {
                self.heard(key, true);
                self.resolve(key, Resolution::Filtered);
            }
            Outcome::Reject => {
                self.heard(key, false);
                self.answer(id, failure.delivery);
                self.withdraw(key);
                self.clear(key);
                self.give_up(now, key, FailureClass::Reject, code, reason);
            }
            Outcome::Retry { after } => {
                self.circuit.retried(key);
                self.survived(key);
                self.answer(id, failure.delivery);
                self.withdraw(key);
                self.retry(now, id, key, after, code, reason);
            }
        }
    }

    /// From here on only an ack of this delivery means something.
    fn answer(&mut self, worker: WorkerId, delivery: DeliveryId) {
        if let Some(worker) = self.workers.get_mut(&worker) {
            worker.deliveries.answer(delivery.0);
        }
    }

    fn retry(
        &mut self,
        now: Instant,
        worker: WorkerId,
        key: Key,
        after: Option<Duration>,
        code: String,
        reason: String,
    ) {
        let health = self.workers.get(&worker).and_then(|worker| worker.health);
        let evidence = self.evidence(key, health);
        let Some(entry) = self.ledger.get_mut(key) else { return };
        let (policy, random) = (&self.settings.retry, &mut self.random);
        self.last_words.keep(entry.sequence, &code, &reason);
        let verdict = entry.tries.fail(policy, now, self.signs.latest(), evidence);
        let failures = entry.tries.failures();
        let asked = after.unwrap_or_default().min(LONGEST_RETRY_AFTER);
        let (backoff, early) = match verdict {
            Verdict::Exhausted => return self.exhaust(now, key, code, reason),
            Verdict::Again => (policy.backoff(failures, random), None),
            Verdict::Outage => {
                (policy.outage_backoff(failures, LONGEST_PAUSE, random), Some(now + asked))
            }
        };
        // While the breaker is not closed, its pause is the backoff.
        let closed = self.circuit.breaker() == Breaker::Closed;
        let backed_off = now + backoff.max(asked).min(LONGEST_RETRY_AFTER);
        let not_before = early.filter(|_| !closed).unwrap_or(backed_off);
        let (id, attempt) = (RecordId(key.to_bits()), entry.attempt);
        let record = Arc::clone(&entry.record);
        self.put(key, Place::Again { due: Some(not_before), early });
        if evidence != Evidence::OtherSucceeded {
            self.ask_health(key, worker);
        }
        self.events.push_back(Event::Retrying { id, record, attempt, not_before, code, reason });
        self.settle_lane_of(key);
    }

    fn exhaust(&mut self, now: Instant, key: Key, code: String, reason: String) {
        if self.settings.on_exhausted != OnExhausted::Suspend {
            return self.give_up(now, key, FailureClass::Exhausted, code, reason);
        }
        self.put(key, Place::Parked(Parked::Suspended));
        if let Some(entry) = self.ledger.get(key) {
            let (record, attempt) = (Arc::clone(&entry.record), entry.attempt);
            let id = RecordId(key.to_bits());
            self.events.push_back(Event::Suspended { id, record, code, reason, attempt });
        }
        self.settle_lane_of(key);
    }

    /// The record's end. One that was never offered has none: nobody can have
    /// answered for it.
    pub(super) fn resolve(&mut self, key: Key, how: Resolution) {
        if self.ledger.get(key).is_none_or(|entry| entry.place == Place::Fresh) {
            return;
        }
        self.withdraw(key);
        self.clear(key);
        let Some(entry) = self.ledger.finish(key) else { return };
        self.last_words.forget(entry.sequence);
        if how == Resolution::Acked {
            self.signs.succeeded();
        }
        let identity = &entry.record.identity;
        let (partition, offset) = (Arc::clone(&identity.partition), identity.offset);
        let fingerprint = entry.fingerprint;
        self.events.push_back(Event::Resolved { partition, offset, fingerprint, how });
        let Some(key) = entry.lane else { return };
        if let Some(lane) = self.lanes.get_mut(key) {
            lane.members -= 1;
        }
        self.settle(key);
    }

    pub(super) fn settle_lane_of(&mut self, key: Key) {
        if let Some(lane) = self.ledger.get(key).and_then(|entry| entry.lane) {
            self.settle(lane);
        }
    }
}

fn check(results: &Results, issued: u64) -> Result<(), Violation> {
    let acked = results.acked.iter().flat_map(|&(first, last)| [first, last]);
    let failed = results.failures.iter().map(|failure| failure.delivery);
    if let Some(DeliveryId(id)) = acked.chain(failed).find(|id| id.0 == 0 || id.0 > issued) {
        return Err(Violation::NeverIssued { id, issued });
    }
    match results.acked.iter().find(|(first, last)| first > last) {
        Some(&(first, last)) => Err(Violation::Reversed { first: first.0, last: last.0 }),
        None => Ok(()),
    }
}
