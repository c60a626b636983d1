//! Which records go out, to whom and when.

use std::{collections::BTreeMap, sync::Arc, time::Instant};

use super::{
    Dispatch, Offer, WorkerId,
    breaker::Allowance,
    worker::{Queue, Waiting, Worker},
};
use crate::{lane::Home, ledger::Place, outcome::DeliveryId, slab::Key, window::Held};

/// A record that may be offered now.
#[derive(Clone, Copy, Debug)]
pub(super) struct Candidate {
    pub(super) home: Home,
    pub(super) lane: Key,
    pub(super) record: Key,
    pub(super) waiting: Waiting,
    pub(super) bytes: usize,
    /// The most of a batch that it may be in, where it failed in a larger one.
    pub(super) most: Option<usize>,
}

impl Dispatch {
    /// The next batch for a worker; ask again until there is none, and after every
    /// round in which any worker got one: what one leaves is another's.
    ///
    /// A batch is as large as its limits and the worker's window allow. One that
    /// could still grow waits for the worker's linger, counted from the admission
    /// of its oldest record, unless [`flush`](Self::flush) said that it cannot.
    pub fn poll_batch(&mut self, now: Instant, worker: WorkerId) -> Option<Vec<Offer>> {
        self.advance(now);
        self.choose_quarantine(now);
        let batch = match self.circuit.allowance() {
            Allowance::All if self.is_quarantine(worker) => self.offer_suspect(now, worker)?,
            Allowance::All if self.is_ripe(now, worker) => self.cut(now, worker),
            Allowance::One { choosy } => self.offer_trial(now, worker, choosy)?,
            Allowance::All | Allowance::Nothing => return None,
        };
        self.close_batch(now, worker, &batch);
        (!batch.is_empty()).then_some(batch)
    }

    /// The next batch for any worker; when there is none, none of them can get one.
    pub fn poll_any(&mut self, now: Instant) -> Option<(WorkerId, Vec<Offer>)> {
        let ids: Vec<_> = self.workers.keys().copied().collect();
        ids.into_iter().find_map(|id| Some((id, self.poll_batch(now, id)?)))
    }

    /// When a batch for the worker goes out, as things stand.
    pub(super) fn batch_deadline(&self, id: WorkerId, worker: &Worker) -> Option<Instant> {
        if self.circuit.allowance() != Allowance::All || self.is_quarantine(id) {
            return None;
        }
        let own = Some(&worker.queue).filter(|_| !self.is_stuck(id, worker));
        let shared = Some(&self.anyone).filter(|_| self.share_of_anyone(id, worker) > 0);
        let queues = own.into_iter().chain(shared);
        queues.filter_map(|queue| queue.ripe_at(worker.settings.linger, self.complete)).min()
    }

    fn is_ripe(&self, now: Instant, id: WorkerId) -> bool {
        let Some(worker) = self.workers.get(&id) else { return false };
        if worker.settings.linger.is_zero() {
            return true;
        }
        let mut waiting = worker.queue.waiting;
        if self.share_of_anyone(id, worker) > 0 {
            waiting += self.anyone.waiting;
        }
        worker.is_filled_by(waiting)
            || self.batch_deadline(id, worker).is_some_and(|deadline| deadline <= now)
    }

    fn cut(&mut self, now: Instant, id: WorkerId) -> Vec<Offer> {
        let Some(worker) = self.workers.get(&id) else { return Vec::new() };
        let limits = worker.batch();
        let mut share = self.share_of_anyone(id, worker);
        let waiting = worker.queue.waiting.records.saturating_add(share);
        let mut batch = Vec::with_capacity(waiting.min(limits.records).min(worker.room()));
        let mut held = Held::default();
        let mut most = None;
        while let Some(next) = self.next_candidate(id, share > 0) {
            if !limits.admits(held, next.bytes) || !self.can_take(id, next.bytes) {
                break;
            }
            if held.records > 0 && !fits(held.records, most, next.most) {
                break;
            }
            held += Held::one(next.bytes);
            most = most.into_iter().chain(next.most).min();
            share -= usize::from(next.home == Home::Anyone);
            self.pop_front(next.home);
            batch.extend(self.offer(now, id, next));
        }
        self.note_oldest(Home::Worker(id));
        self.note_oldest(Home::Anyone);
        batch
    }

    /// The next record that is offered is of another batch.
    fn close_batch(&mut self, now: Instant, id: WorkerId, batch: &[Offer]) {
        let Some(worker) = self.workers.get_mut(&id) else { return };
        if let Some(first) = batch.first() {
            worker.pace.offered(now, first.delivery.0, batch.len());
        }
        worker.batch = worker.batch.next();
        let [only] = batch else { return };
        let only = worker.deliveries.open(only.delivery.0);
        if let Some(entry) = only.and_then(|key| self.ledger.get_mut(key)) {
            entry.batch = None;
        }
    }

    pub(super) fn can_take(&self, id: WorkerId, bytes: usize) -> bool {
        self.workers.get(&id).is_some_and(|worker| worker.can_take(bytes))
    }

    /// How many lanes of a single record the worker may take now: so many that
    /// those who can take any end up with the same number in hand.
    fn share_of_anyone(&self, id: WorkerId, worker: &Worker) -> usize {
        let Some(next) = self.first_of(Home::Anyone) else { return 0 };
        let takes = |id, worker: &Worker| {
            worker.can_take(next.bytes) && !self.is_stuck(id, worker) && !self.is_quarantine(id)
        };
        if !takes(id, worker) {
            return 0;
        }
        let mut takers = 0;
        let mut records = self.anyone.waiting.records;
        for (&id, worker) in &self.workers {
            if takes(id, worker) {
                takers += 1;
                records += worker.in_hand.records;
            }
        }
        records.div_ceil(takers.max(1)).saturating_sub(worker.in_hand.records)
    }

    /// Whether the worker must answer something before its own next record fits.
    fn is_stuck(&self, id: WorkerId, worker: &Worker) -> bool {
        let next = self.first_of(Home::Worker(id));
        next.is_some_and(|next| !worker.can_take(next.bytes))
    }

    /// The oldest of what the worker's own lanes and those of anyone offer.
    fn next_candidate(&mut self, id: WorkerId, anyone: bool) -> Option<Candidate> {
        let own = self.front(Home::Worker(id));
        let shared = if anyone { self.front(Home::Anyone) } else { None };
        own.into_iter().chain(shared).min_by_key(|candidate| candidate.waiting)
    }

    /// Hands over the head of a lane that was taken out of its queue.
    pub(super) fn offer(&mut self, now: Instant, id: WorkerId, next: Candidate) -> Option<Offer> {
        let suspect = self.ledger.get(next.record)?.suspect;
        let lane = self.lanes.get_mut(next.lane)?;
        lane.pop_head(next.bytes, suspect);
        let worker = self.workers.get_mut(&id)?;
        worker.take_in_hand(next.bytes);
        let (delivery, batch) = (worker.deliveries.issue(next.record), worker.batch);
        self.put(next.record, Place::InHand { worker: id, delivery, since: now });
        self.settle(next.lane);
        let entry = self.ledger.get_mut(next.record)?;
        entry.attempt += 1;
        entry.batch = Some(batch);
        if entry.tries.first_failure().is_none() {
            entry.tries.begin(self.signs.latest());
        }
        Some(Offer {
            delivery: DeliveryId(delivery),
            attempt: entry.attempt,
            crashes: entry.crashes.into(),
            fingerprint: entry.fingerprint,
            record: Arc::clone(&entry.record),
        })
    }

    /// Brings a lane's place in the world up to date after anything about it
    /// changed: its home, what it offers, whether it is there at all.
    pub(super) fn settle(&mut self, key: Key) {
        self.go_home(key);
        let Some(lane) = self.lanes.get_mut(key) else { return };
        let after = lane.offered(&self.ledger);
        let before = std::mem::replace(&mut lane.counted, after);
        let home = lane.home;
        if lane.members == 0 {
            self.lanes.remove(key);
        }
        if let Some(queue) = self.queue_mut(home) {
            queue.recount(before, after);
        }
        if after.records > 0 {
            self.enqueue(home, key);
        }
    }

    /// Lets a lane move where it is to belong, unless something that it has offered
    /// keeps it.
    fn go_home(&mut self, key: Key) {
        let Some(lane) = self.lanes.get_mut(key).filter(|lane| lane.home != lane.target) else {
            return;
        };
        let attends = matches!(lane.home, Home::Worker(id) if attends(&self.workers, id));
        if lane.in_hand > 0 || (attends && lane.was_offered()) {
            return;
        }
        let left = std::mem::replace(&mut lane.home, lane.target);
        let counted = std::mem::take(&mut lane.counted);
        let queued = std::mem::take(&mut lane.queued);
        let Some(queue) = self.queue_mut(left) else { return };
        queue.recount(counted, Held::default());
        if queued {
            queue.lanes.retain(|&lane| lane != key);
        }
    }

    fn enqueue(&mut self, home: Home, key: Key) {
        let Some(next) = self.candidate(home, key) else { return };
        let Some(lane) = self.lanes.get_mut(key) else { return };
        let enters = !std::mem::replace(&mut lane.queued, true);
        let repeats = !lane.again.is_empty();
        let Some(queue) = self.queue_mut(home) else { return };
        queue.note(next.waiting);
        match (enters, repeats) {
            (false, _) => {}
            (true, true) => queue.lanes.push_front(key),
            (true, false) => queue.lanes.push_back(key),
        }
    }

    /// The queue's first lane that has something to offer; drops those before it.
    fn front(&mut self, home: Home) -> Option<Candidate> {
        loop {
            let key = *self.queue(home)?.lanes.front()?;
            let next = self.candidate(home, key);
            if next.is_some() {
                return next;
            }
            self.pop_front(home);
        }
    }

    fn pop_front(&mut self, home: Home) {
        let Some(key) = self.queue_mut(home).and_then(|queue| queue.lanes.pop_front()) else {
            return;
        };
        if let Some(lane) = self.lanes.get_mut(key) {
            lane.queued = false;
        }
    }

    /// The same without dropping.
    fn first_of(&self, home: Home) -> Option<Candidate> {
        self.queue(home)?.lanes.iter().find_map(|&key| self.candidate(home, key))
    }

    /// What a lane offers, if it is at home there and offers anything.
    pub(super) fn candidate(&self, home: Home, key: Key) -> Option<Candidate> {
        let lane = self.lanes.get(key)?;
        if lane.home != home || lane.counted.records == 0 {
            return None;
        }
        let record = lane.head()?;
        let entry = self.ledger.get(record)?;
        let waiting = Waiting { sequence: entry.sequence, admitted: entry.admitted };
        let (bytes, most) = (entry.bytes, entry.most());
        Some(Candidate { home, lane: key, record, waiting, bytes, most })
    }

    pub(super) fn note_oldest(&mut self, home: Home) {
        let oldest = self.front(home).map(|next| next.waiting);
        if let Some(queue) = self.queue_mut(home) {
            queue.oldest = oldest;
        }
    }

    fn queue(&self, home: Home) -> Option<&Queue> {
        match home {
            Home::Worker(id) => self.workers.get(&id).map(|worker| &worker.queue),
            Home::Anyone => Some(&self.anyone),
            Home::Nowhere => None,
        }
    }

    pub(super) fn queue_mut(&mut self, home: Home) -> Option<&mut Queue> {
        match home {
            Home::Worker(id) => self.workers.get_mut(&id).map(|worker| &mut worker.queue),
            Home::Anyone => Some(&mut self.anyone),
            Home::Nowhere => None,
        }
    }
}

/// Whether another record may join a batch. What failed in a larger one keeps to itself,
/// so that it takes nothing new with it.
fn fits(records: usize, most: Option<usize>, next: Option<usize>) -> bool {
    match (most, next) {
        (None, None) => true,
        (Some(most), Some(next)) => records < most.min(next),
        (None, Some(_)) | (Some(_), None) => false,
    }
}

/// Whether the worker is there and may be offered something.
fn attends(workers: &BTreeMap<WorkerId, Worker>, id: WorkerId) -> bool {
    workers.get(&id).is_some_and(|worker| !worker.draining)
}
