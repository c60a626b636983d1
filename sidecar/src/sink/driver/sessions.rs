//! The driver's dealings with its workers: they join, say things, and leave.

use danube_sidecar_core::dispatch::{Departure, WorkerId};
use danube_sidecar_store::StoreError;
use futures::future::BoxFuture;
use tokio::sync::{mpsc, oneshot};
use tracing::{info, warn};

use super::Driver;
use crate::{
    clock::now,
    metrics::connector_health,
    refusal::Refusal,
    session::{FromSink, SinkOpen, ToSink},
    sink::{
        COMMANDS, Seat,
        worker::{FRAMES, Worker},
    },
};

type Reply = oneshot::Sender<Result<Seat, Refusal>>;

/// A worker on its way to its epoch; none where it has gone meanwhile.
pub(super) type Joining = BoxFuture<'static, Option<Joined>>;

/// A worker that is there, until it leaves.
pub(super) type Seated = BoxFuture<'static, (WorkerId, Departure)>;

/// A worker that may take its seat.
pub(super) struct Joined {
    open: Box<SinkOpen>,
    epoch: Result<u64, StoreError>,
    reply: Reply,
}

impl Driver {
    pub(super) fn result_timeout(&mut self, worker: WorkerId) {
        let seconds =
            self.dispatch.settings().result_timeout.map_or(0, |timeout| timeout.as_secs());
        if let Some(worker) = self.workers.get_mut(&worker) {
            worker.end(Some(Refusal::ResultTimeout { seconds }));
        }
    }

    /// A worker wants to join. Its epoch is a matter of the disk, which nobody else waits
    /// for.
    pub(super) fn join(&mut self, open: Box<SinkOpen>, mut reply: Reply) {
        if self.deadline.is_some() {
            // A worker that is gone needs no answer.
            let _ = reply.send(Err(Refusal::ShuttingDown));
            return;
        }
        let key = format!("sink/{}", self.plan.connector.name);
        let store = self.parts.store.clone();
        self.joining.push(Box::pin(async move {
            let epoch = tokio::select! {
                epoch = store.next_epoch(&key) => epoch,
                () = reply.closed() => return None,
            };
            Some(Joined { open, epoch, reply })
        }));
    }

    /// A worker has its epoch, or has gone meanwhile.
    pub(super) fn joined(&mut self, joined: Option<Joined>) {
        let Some(Joined { open, epoch, reply }) = joined else { return };
        let seat = match epoch {
            _ if self.deadline.is_some() => Err(Refusal::ShuttingDown),
            Ok(epoch) => Ok(self.seat(*open, epoch)),
            Err(error) => Err(error.into()),
        };
        // Where it has gone by now, the seat that nobody takes makes it leave.
        let _ = reply.send(seat);
    }

    /// A place for a worker, which it keeps until the seat is dropped.
    fn seat(&mut self, open: SinkOpen, epoch: u64) -> Seat {
        self.dispatch.retry_policy(self.plan.rules(Some(&open), self.parts.inbox.is_some()).retry);
        let id = self.dispatch.join(now(), self.plan.worker(&open));
        let name = open.caller.worker_id.unwrap_or_else(|| format!("worker-{}", id.0));
        let (frames, frames_out) = mpsc::channel(FRAMES);
        let (end, end_out) = oneshot::channel();
        let (departure, departed) = oneshot::channel();
        info!(
            connector = self.plan.connector.name,
            worker = name,
            sdk = open.caller.sdk,
            "worker joined"
        );
        self.failed = None;
        let worker = Worker::new(id, name.clone(), open.caller.capabilities, frames, end);
        self.rooms.push(worker.wait_for_room());
        self.seated.push(Box::pin(async move {
            // What the sidecar dropped is no crash of the connector.
            (id, departed.await.unwrap_or(Departure::Released))
        }));
        worker.probe(self.next_probe());
        self.workers.insert(id, worker);
        self.alone_since = None;
        self.metrics.workers(self.workers.len());
        Seat {
            worker: id,
            worker_id: name,
            epoch,
            subscriptions: self.plan.subscriptions.clone(),
            frames: frames_out,
            end: end_out,
            departure,
        }
    }

    /// A worker's seat is free. What it said before that is in the queue, and counts.
    pub(super) fn departed(&mut self, id: WorkerId, departure: Departure) {
        for _ in 0..COMMANDS {
            let Ok(command) = self.commands.try_recv() else { break };
            self.command(command);
        }
        self.leave(id, departure);
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
                if let Some(health) = worker.answered(&health) {
                    self.dispatch.health(id, health);
                }
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

    /// The delivery rules want to know whose fault it is that a record fails.
    pub(super) fn ask_health(&mut self, id: WorkerId) {
        let probe = self.next_probe();
        if let Some(worker) = self.workers.get_mut(&id) {
            worker.ask(now(), probe);
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

    fn leave(&mut self, id: WorkerId, departure: Departure) {
        let Some(gone) = self.workers.remove(&id) else { return };
        let connector = &self.plan.connector.name;
        info!(connector, worker = gone.name, ?departure, "worker left");
        self.dispatch.leave(now(), id, departure);
        self.metrics.workers(self.workers.len());
        self.count_busy();
        self.tell_health();
        if self.workers.is_empty() {
            self.alone_since = Some(now());
        }
    }
}
