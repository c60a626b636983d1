//! What results mean, and how a record comes to its end.

use std::{collections::BTreeSet, sync::Arc, time::Instant};

use super::{
    DeadLetter, Dispatch, Event, RecordId, Violation, WorkerId,
    failures::{Failed, Tells},
    retrying::Said,
};
use crate::{
    ledger::{Batch, Parked, Place},
    outcome::{DeliveryId, FailureClass, Outcome, Resolution, Results},
    slab::Key,
};

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
        let mut frame = Frame::new(results);
        for &range in &results.acked {
            self.ack_range(worker, range, &mut frame);
        }
        for failed in self.failures(worker, results, frame.answered) {
            self.fail(now, worker, &failed);
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
                    worker.release(delivery, entry.bytes);
                }
            }
            Place::Again { due: Some(due), .. } => _ = self.retries.remove(&(due, key)),
            Place::Again { due: None, .. } | Place::Fresh | Place::Parked(_) => {}
        }
        let Some(lane) = entry.lane.and_then(|lane| self.lanes.get_mut(lane)) else { return };
        match entry.place {
            Place::Again { .. } => _ = lane.again.remove(&entry.sequence),
            Place::InHand { .. } => lane.leaves_hand(),
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
        frame: &mut Frame,
    ) {
        let Some(worker) = self.workers.get(&id) else { return };
        for delivery in worker.deliveries.candidates(first.0, last.0).into_ids() {
            if frame.acks(delivery) {
                self.ack(id, delivery, frame);
            }
        }
    }

    fn ack(&mut self, worker: WorkerId, delivery: u64, frame: &mut Frame) {
        let Some(at) = self.workers.get_mut(&worker) else { return };
        let open = at.deliveries.open(delivery);
        let Some(key) = open.or_else(|| at.deliveries.take_late(delivery)) else { return };
        if !frame.failed.is_empty() {
            let entry = self.ledger.get(key).filter(|entry| entry.place.is_at(worker));
            frame.answered.extend(entry.and_then(|entry| entry.batch));
        }
        self.ack_record(key);
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
        if let (true, Place::InHand { worker, delivery, since }) = (succeeded, entry.place) {
            self.quarantine.succeeded(since);
            if let Some(worker) = self.workers.get_mut(&worker) {
                worker.pace.written(delivery);
            }
        }
    }

    fn fail(&mut self, now: Instant, id: WorkerId, failed: &Failed<'_>) {
        let (key, failure) = (failed.key, failed.failure);
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
            Outcome::Busy { after } => self.busy(now, id, failed, after),
            Outcome::Retry { after } => {
                self.survived(key);
                self.answer(id, failure.delivery);
                self.withdraw(key);
                let said = Said { worker: id, after: after.unwrap_or_default(), code, reason };
                match failed.tells {
                    Tells::Alone => self.failed_alone(now, key, said),
                    Tells::Together(part) => self.failed_together(now, key, part, said),
                    Tells::Behind { most } => self.held_back(key, most),
                }
            }
        }
    }

    /// From here on only an ack of this delivery means something.
    pub(super) fn answer(&mut self, worker: WorkerId, delivery: DeliveryId) {
        if let Some(worker) = self.workers.get_mut(&worker) {
            worker.deliveries.answer(delivery.0);
        }
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

/// What is to be known of a frame before its failures are looked at.
struct Frame {
    /// What failed is not acked, though a range may cover it. Sorted.
    failed: Vec<DeliveryId>,
    /// Batches of which something was acked; kept where something failed.
    answered: BTreeSet<Batch>,
}

impl Frame {
    fn new(results: &Results) -> Self {
        let mut failed: Vec<_> = results.failures.iter().map(|failure| failure.delivery).collect();
        failed.sort_unstable();
        Self { failed, answered: BTreeSet::new() }
    }

    fn acks(&self, delivery: u64) -> bool {
        self.failed.is_empty() || self.failed.binary_search(&DeliveryId(delivery)).is_err()
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
