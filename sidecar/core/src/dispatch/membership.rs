//! Workers come and go, and the lanes with them.

use std::time::Instant;

use super::{Departure, Dispatch, Event, WorkerId, WorkerSettings, worker::Worker};
use crate::{hash::rendezvous, lane::Home, ledger::Place, slab::Key, window::Held};

impl Dispatch {
    /// A worker is there. Lanes that are to be its own come over as soon as
    /// nothing of them is in another worker's hands; until then they are offered
    /// to nobody.
    pub fn join(&mut self, now: Instant, settings: WorkerSettings) -> WorkerId {
        self.workers_joined += 1;
        let id = WorkerId(self.workers_joined);
        self.workers.insert(id, Worker::new(now, settings));
        self.reassign();
        self.circuit.worker_joined(now);
        self.tell_breaker(now);
        id
    }

    /// Changes a worker's window; zero pauses it.
    pub fn resize(&mut self, worker: WorkerId, records: Option<usize>, bytes: Option<usize>) {
        if let Some(worker) = self.workers.get_mut(&worker) {
            worker.resize(records, bytes);
        }
    }

    /// Offers nothing more to the worker; its results still count.
    pub fn draining(&mut self, worker: WorkerId) {
        if let Some(worker) = self.workers.get_mut(&worker) {
            worker.draining = true;
            self.reassign();
        }
    }

    /// The worker's stream is closed: what it held is offered again, in order.
    pub fn leave(&mut self, now: Instant, worker: WorkerId, departure: Departure) {
        let Some(left) = self.workers.remove(&worker) else { return };
        let held: Vec<_> = left.deliveries.all_open().collect();
        self.take_back(now, &held, departure, left.health);
        self.reassign();
        self.tell_breaker(now);
    }

    /// Ends the workers that hold a record for too long.
    pub(super) fn find_result_timeouts(&mut self, now: Instant) {
        let late: Vec<_> = self
            .workers
            .iter()
            .filter(|(_, worker)| self.result_deadline(worker).is_some_and(|at| at <= now))
            .map(|(&id, _)| id)
            .collect();
        for id in late {
            let Some(worker) = self.workers.get_mut(&id) else { continue };
            worker.timed_out = true;
            self.draining(id);
            self.trial_timed_out(now, id);
            self.events.push_back(Event::ResultTimeout { worker: id });
        }
    }

    /// When the worker will have held a record for too long.
    pub(super) fn result_deadline(&self, worker: &Worker) -> Option<Instant> {
        let timeout = self.settings.result_timeout?;
        if worker.timed_out {
            return None;
        }
        let entry = self.ledger.get(worker.deliveries.oldest()?)?;
        let Place::InHand { since, .. } = entry.place else { return None };
        since.checked_add(timeout)
    }

    /// Chooses all lanes' workers anew.
    fn reassign(&mut self) {
        let attending = self.workers.iter().filter(|(_, worker)| !worker.draining);
        self.attending = attending.map(|(&id, _)| id).collect();
        self.anyone = Default::default();
        for worker in self.workers.values_mut() {
            worker.queue = Default::default();
        }
        for (_, lane) in self.lanes.iter_mut() {
            lane.queued = false;
            lane.counted = Held::default();
            if let Some(hash) = lane.hash {
                lane.target = choose(&self.attending, hash);
            }
        }
        // A lane with repeats enters its queue at the front, so these go in backwards.
        let (again, fresh): (Vec<_>, Vec<_>) = self
            .lanes_by_age()
            .into_iter()
            .partition(|&key| self.lanes.get(key).is_some_and(|lane| !lane.again.is_empty()));
        for key in again.into_iter().rev().chain(fresh) {
            self.settle(key);
        }
    }

    fn lanes_by_age(&self) -> Vec<Key> {
        let head_of = |head| self.ledger.get(head).map(|entry| entry.sequence);
        let lanes = self.lanes.iter();
        let mut aged: Vec<_> =
            lanes.map(|(key, lane)| (lane.head().and_then(head_of), key)).collect();
        aged.sort_unstable();
        aged.into_iter().map(|(_, key)| key).collect()
    }
}

/// The worker that a lane of this hash is to belong to.
pub(super) fn choose(attending: &[WorkerId], hash: u64) -> Home {
    let chosen = rendezvous(hash, attending.iter().map(|id| id.0));
    chosen.map_or(Home::Nowhere, |id| Home::Worker(WorkerId(id)))
}
