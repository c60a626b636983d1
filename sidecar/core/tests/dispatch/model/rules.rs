//! What must hold of every offer, and after every step.

use std::time::Instant;

use danube_sidecar_core::dispatch::{Breaker, BusyWorker, Dispatch, Offer, WorkerId};

use super::{
    naive::{Entry, Model, State, Worker},
    trouble::LONGEST_ASIDE,
};

impl Model {
    /// Every offer keeps to the window, to its lane's order and to the backoff.
    pub(crate) fn offered(
        &mut self,
        id: WorkerId,
        batch: &[Offer],
        paced: Option<&BusyWorker>,
        now: Instant,
    ) {
        self.pace_admits(id, batch, paced);
        let worker = self.worker(id);
        assert!(!worker.draining && !worker.left, "nothing new for a worker that goes");
        let limits = worker.settings.batch;
        let bytes: usize = batch.iter().map(|offer| offer.record.encoded_len()).sum();
        assert!(!batch.is_empty() && batch.len() <= limits.records);
        assert!(batch.len() == 1 || bytes <= limits.bytes, "batch of {bytes} bytes");
        self.keeps_to_itself(batch);
        self.batches += 1;
        for offer in batch {
            self.offered_one(id, offer, now);
            let at = self.of(&offer.record);
            self.entries[at].single = batch.len() == 1;
        }
    }

    /// What failed in a batch comes in smaller ones, and takes nothing with it that did not.
    fn keeps_to_itself(&self, batch: &[Offer]) {
        let most = batch.iter().map(|offer| self.entries[self.of(&offer.record)].most);
        let (some, none): (Vec<_>, Vec<_>) = most.partition(Option::is_some);
        let fits = some.iter().flatten().all(|&most| batch.len() <= most);
        assert!(some.is_empty() || (none.is_empty() && fits), "{} in {some:?}", batch.len());
    }

    fn offered_one(&mut self, id: WorkerId, offer: &Offer, now: Instant) {
        let at = self.of(&offer.record);
        let entry = &self.entries[at];
        let State::Waiting { not_before } = entry.state else {
            panic!("offered while {:?}", entry.state)
        };
        assert!(not_before.is_none_or(|at| at <= now), "offered before its backoff ended");
        assert_eq!((offer.attempt, offer.crashes), (entry.attempt + 1, entry.crashes));
        assert_eq!(offer.delivery.0, self.worker(id).issued + 1);
        self.window_admits(id, entry.bytes);
        self.lane_admits(id, at);
        self.knows_of(id, at);
        self.quarantine_admits(id, at);
        self.breaker_admits(at);
        let (tried, batch) = (self.history.len(), self.batches);
        let entry = &mut self.entries[at];
        entry.attempt += 1;
        (entry.batch, entry.resumed, entry.behind) = (batch, false, None);
        if entry.first_failure.is_none() {
            entry.tried = tried;
        }
        entry.deliveries.push((id, offer.delivery.0));
        entry.state = State::InHand { worker: id, delivery: offer.delivery.0, since: now };
        self.worker_mut(id).issued += 1;
    }

    fn window_admits(&self, id: WorkerId, bytes: usize) {
        let (window, load) = (self.worker(id).settings.window, self.load(id));
        assert!(window.records > 0 && window.bytes > 0, "worker {} is paused", id.0);
        let fits = load.records < window.records && load.bytes + bytes <= window.bytes;
        assert!(load.records == 0 || fits, "window {window:?} exceeded: {load:?} + {bytes}");
    }

    /// What comes before it in its lane is in the same worker's hands, and has not failed.
    fn lane_admits(&self, id: WorkerId, at: usize) {
        let entry = &self.entries[at];
        let others = self.entries.iter().enumerate().filter(|&(other, _)| other != at);
        for (other, before) in
            others.filter(|(_, other)| entry.lane.is_some() && entry.lane == other.lane)
        {
            match before.state {
                State::InHand { worker, .. } => {
                    assert_eq!(worker, id, "a lane in two workers' hands");
                    let holds = before.holds() && other < at;
                    assert!(!holds, "offered while a failed one of its lane is unresolved");
                }
                State::Waiting { .. } => assert!(other > at, "offered before an older one"),
                State::Letter(_) | State::Suspended => {
                    assert!(!before.holds() || other > at, "passed an exhausted one");
                }
                State::Resolved | State::Forgotten => {}
            }
        }
    }

    /// A record that failed comes back to the worker that knows of it, while that is
    /// there; quarantine chooses for itself, and what was suspended has no worker.
    fn knows_of(&self, id: WorkerId, at: usize) {
        let entry = &self.entries[at];
        let Some(&(before, _)) = entry.deliveries.last() else { return };
        let attends = |worker: &Worker| !worker.left && !worker.draining;
        let moves =
            entry.lane.is_none() || entry.suspect || entry.resumed || !attends(self.worker(before));
        assert!(moves || before == id, "worker {} knows of it, not {}", before.0, id.0);
    }

    /// What the worker has not answered yet.
    pub(crate) fn open_deliveries(&self, id: WorkerId) -> Vec<u64> {
        let delivery = |entry: &Entry| match entry.state {
            State::InHand { worker, delivery, .. } if worker == id => Some(delivery),
            _ => None,
        };
        self.entries.iter().filter_map(delivery).collect()
    }

    /// Whether the worker has a record with a payload of this length in hand.
    pub(crate) fn holds_size(&self, id: WorkerId, payload: usize) -> bool {
        let held = |entry: &&Entry| entry.in_hand_at(id);
        self.entries.iter().filter(held).any(|entry| entry.record.payload.len() == payload)
    }

    /// The counts agree.
    pub(crate) fn compare(&self, dispatch: &Dispatch, now: Instant) {
        self.breaker_agrees(dispatch.breaker(), now);
        self.suspicions_agree();
        self.pauses_agree(dispatch);
        let held = self.sum(|entry| entry.is_unresolved());
        assert_eq!((dispatch.held(), dispatch.unresolved()), (held, held.records));
        let paused = |worker: &&Worker| {
            let window = worker.settings.window;
            !worker.left && (window.records == 0 || window.bytes == 0)
        };
        let status = dispatch.status();
        assert_eq!(status.late_failures, self.late_failures);
        assert_eq!(status.workers_paused, self.workers.iter().filter(paused).count());
        for worker in &self.workers {
            let load = (!worker.left).then(|| self.load(worker.id));
            assert_eq!(dispatch.worker_load(worker.id), load);
        }
    }

    /// After all workers were polled: where each of them has room for any record,
    /// no record is left that could have been offered.
    pub(crate) fn nothing_is_left_out(&self, now: Instant) {
        let open = || self.workers.iter().filter(|worker| !worker.left && !worker.draining);
        let largest = self.entries.iter().map(|entry| entry.bytes).max().unwrap_or(0);
        let roomy = |worker: &Worker| {
            let (window, load) = (worker.settings.window, self.load(worker.id));
            let room = load.records < window.records && load.bytes + largest <= window.bytes;
            room && worker.settings.linger.is_zero()
        };
        if open().next().is_none() || !open().all(roomy) {
            return;
        }
        if self.trouble.breaker != Breaker::Closed {
            return;
        }
        if self.entries.iter().any(|entry| entry.suspect) {
            return self.no_suspect_is_left_out(now);
        }
        for (at, entry) in self.entries.iter().enumerate() {
            let State::Waiting { not_before } = entry.state else { continue };
            let due = not_before.is_none_or(|at| at <= now);
            let behind = self.entries.iter().enumerate().any(|(other, before)| {
                let same = entry.lane.is_some() && entry.lane == before.lane && other != at;
                let in_hand = matches!(before.state, State::InHand { .. });
                let waits_for = other < at || before.failed || in_hand;
                same && before.is_unresolved() && waits_for
            });
            assert!(!due || behind, "{entry:?} could have been offered");
        }
    }

    /// Where no worker holds anything, a suspect that is due and first in its lane is
    /// on its way.
    fn no_suspect_is_left_out(&self, now: Instant) {
        let in_hand = |entry: &Entry| matches!(entry.state, State::InHand { .. });
        let awaited = |worker: &Worker| self.awaits_health(worker, now);
        if self.entries.iter().any(in_hand) || self.workers.iter().any(awaited) {
            return;
        }
        for (at, entry) in self.entries.iter().enumerate().filter(|(_, entry)| entry.suspect) {
            let State::Waiting { not_before } = entry.state else { continue };
            let due = not_before.is_none_or(|at| at + LONGEST_ASIDE <= now);
            let mut others = self.entries.iter().enumerate();
            let behind = others.any(|(other, before)| {
                let same = entry.lane.is_some() && entry.lane == before.lane && other != at;
                same && before.is_unresolved() && (other < at || before.holds())
            });
            assert!(!due || behind, "the suspect {entry:?} could have been offered");
        }
    }
}
