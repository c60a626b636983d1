//! The driver's dealings with its workers: they join, say things, and leave.

use danube_sidecar_core::dispatch::{Departure, WorkerId};
use tokio::sync::{mpsc, oneshot};
use tracing::{info, warn};

use super::Driver;
use crate::{
    clock::now,
    metrics::connector_health,
    refusal::Refusal,
    session::{FromSink, SinkOpen, ToSink},
    sink::{
        Seat,
        worker::{FRAMES, Worker},
    },
};

impl Driver {
    pub(super) fn result_timeout(&mut self, worker: WorkerId) {
        let seconds =
            self.dispatch.settings().result_timeout.map_or(0, |timeout| timeout.as_secs());
        if let Some(worker) = self.workers.get_mut(&worker) {
            worker.end(Some(Refusal::ResultTimeout { seconds }));
        }
    }

    pub(super) async fn join(
        &mut self,
        open: SinkOpen,
        reply: oneshot::Sender<Result<Seat, Refusal>>,
    ) {
        if self.deadline.is_some() {
            // A worker that is gone needs no answer.
            let _ = reply.send(Err(Refusal::ShuttingDown));
            return;
        }
        let key = format!("sink/{}", self.plan.connector.name);
        let epoch = match self.parts.store.next_epoch(&key).await {
            Ok(epoch) => epoch,
            Err(error) => {
                let _ = reply.send(Err(error.into()));
                return;
            }
        };
        self.dispatch.retry_policy(self.plan.rules(Some(&open), self.parts.inbox.is_some()).retry);
        let id = self.dispatch.join(now(), self.plan.worker(&open));
        let name = open.caller.worker_id.unwrap_or_else(|| format!("worker-{}", id.0));
        let (frames, frames_out) = mpsc::channel(FRAMES);
        let (end, end_out) = oneshot::channel();
        let seat = Seat {
            worker: id,
            worker_id: name.clone(),
            epoch,
            subscriptions: self.plan.subscriptions.clone(),
            frames: frames_out,
            end: end_out,
        };
        if reply.send(Ok(seat)).is_err() {
            self.dispatch.leave(now(), id, Departure::Released);
            return;
        }
        info!(
            connector = self.plan.connector.name,
            worker = name,
            sdk = open.caller.sdk,
            "worker joined"
        );
        self.failed = None;
        let worker = Worker::new(id, name, open.caller.capabilities, frames, end);
        self.rooms.push(worker.wait_for_room());
        worker.probe(self.next_probe());
        self.workers.insert(id, worker);
        self.alone_since = None;
        self.metrics.workers(self.workers.len());
    }

    pub(super) fn said(&mut self, id: WorkerId, frame: FromSink) {
        let Some(worker) = self.workers.get_mut(&id) else { return };
        match frame {
            FromSink::Results(results) => {
                if let Err(violation) = self.dispatch.results(now(), id, &results) {
                    worker.end(Some(violation.into()));
                }
            }
            FromSink::Flow { records, bytes } => self.dispatch.resize(id, records, bytes),
            FromSink::Health(health) => {
                worker.external.said(&self.plan.connector.name, &worker.name, health);
                self.tell_health();
            }
            FromSink::Fault(fault) => {
                warn!(
                    connector = self.plan.connector.name,
                    worker = worker.name,
                    code = fault.code,
                    message = fault.message,
                    "connector failed: its records are offered again to its next session"
                );
                self.failed = Some(fault.message);
                worker.end(None);
            }
            FromSink::Drained => worker.end(None),
        }
    }

    pub(super) fn room(&mut self, id: WorkerId, room: Option<mpsc::OwnedPermit<ToSink>>) {
        if let (Some(worker), Some(room)) = (self.workers.get_mut(&id), room) {
            worker.room(room);
        }
    }

    pub(super) fn probe(&mut self) {
        let id = self.next_probe();
        for worker in self.workers.values() {
            worker.probe(id);
        }
    }

    fn next_probe(&mut self) -> u64 {
        self.probes += 1;
        self.probes
    }

    /// All workers together: the external system is well if none says otherwise.
    fn tell_health(&self) {
        let known = self.workers.values().filter_map(|worker| worker.external.is_well());
        if let Some(well) = known.reduce(|all, one| all && one) {
            connector_health(&self.plan.connector.name, well);
        }
    }

    pub(super) fn leave(&mut self, id: WorkerId, departure: Departure) {
        let Some(gone) = self.workers.remove(&id) else { return };
        let connector = &self.plan.connector.name;
        info!(connector, worker = gone.name, ?departure, "worker left");
        self.dispatch.leave(now(), id, departure);
        self.metrics.workers(self.workers.len());
        self.tell_health();
        if self.workers.is_empty() {
            self.alone_since = Some(now());
        }
    }
}
