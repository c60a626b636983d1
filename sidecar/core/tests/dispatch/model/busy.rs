//! The naive model of workers whose external system is busy.

use std::time::{Duration, Instant};

use danube_sidecar_core::dispatch::{BusyWorker, Dispatch, Offer, WorkerId};

use super::naive::{Entry, Expected, Model, State};

impl Model {
    /// The worker says so of a record: that says nothing about the record.
    pub(super) fn busy(&mut self, at: usize, after: Option<Duration>, now: Instant) {
        let State::InHand { worker: id, .. } = self.entries[at].state else { unreachable!() };
        self.trouble.trial = self.trouble.trial.filter(|&trial| trial != at);
        self.entries[at].state = State::Waiting { not_before: None };
        let batches = self.batches;
        let asked = after.unwrap_or(Duration::from_secs(1)).max(Duration::from_millis(100));
        let worker = self.worker_mut(id);
        let before = worker.busy_until.replace(now + asked);
        worker.busy_until = worker.busy_until.max(before);
        if before.is_none() {
            (worker.paused_after, worker.offered_since) = (batches, 0);
            self.expected.push(Expected::worker("busy", id));
        }
    }

    pub(super) fn pauses_end(&mut self, now: Instant) {
        let there = self.workers.iter_mut().filter(|worker| !worker.left);
        for worker in there.filter(|worker| worker.busy_until.is_some_and(|until| until <= now)) {
            worker.busy_until = None;
            self.expected.push(Expected::worker("pause ended", worker.id));
        }
    }

    /// Nothing is offered before the pause has passed, and then one record, and nothing
    /// else until that is answered; more where the system is known to have a rate.
    pub(super) fn pace_admits(
        &mut self,
        id: WorkerId,
        batch: &[Offer],
        paced: Option<&BusyWorker>,
    ) {
        let probing = paced.is_some_and(|busy| busy.quota.is_none());
        let worker = self.worker_mut(id);
        assert_eq!(worker.busy_until, None, "offered to a worker that pauses");
        worker.offered_since += batch.len();
        if !probing || worker.offered_since == batch.len() {
            assert!(!probing || batch.len() == 1, "{} after a pause", batch.len());
            return;
        }
        let (since, offered) = (worker.paused_after, worker.offered_since);
        let unanswered = |entry: &&Entry| entry.in_hand_at(id) && entry.batch > since;
        let open = self.entries.iter().filter(unanswered).count();
        assert!(open < offered - batch.len(), "more before the first is answered");
    }

    pub(super) fn pauses_agree(&self, dispatch: &Dispatch) {
        for worker in self.workers.iter().filter(|worker| !worker.left) {
            let busy = dispatch.busy_workers().find(|busy| busy.worker == worker.id);
            assert_eq!(busy.and_then(|busy| busy.until), worker.busy_until);
        }
    }
}
