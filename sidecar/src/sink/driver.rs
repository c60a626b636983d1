//! Moves one sink's records: from its subscriptions through the delivery rules to
//! its workers, and their results back as broker acks.
//!
//! **Architecture invariant:** every decision is the core's; this file only
//! carries its inputs in and its outputs out.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    pin::Pin,
    sync::Arc,
    time::{Duration, Instant},
};

use danube_sidecar_broker::{BoxSubscription, Cluster, SubscriptionEvent, SubscriptionSpec};
use danube_sidecar_core::dispatch::{Admission, Dispatch, Event, WorkerId};
use danube_sidecar_store::Store;
use futures::{
    FutureExt as _, StreamExt as _,
    stream::{FuturesUnordered, SelectAll},
};
use tokio::{
    sync::{mpsc, oneshot},
    time::sleep_until,
};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::{
    COMMANDS, Command, Plan, Seat, Sink, SubscriptionView, View,
    settings::broker_kind,
    trouble::describe,
    worker::{FRAMES, Room, Worker},
};
use crate::{
    config::SubscriptionKind,
    dead_letter::{self, DeadLetters},
    metrics::SinkMetrics,
    refusal::Refusal,
    session::{FromSink, SinkOpen, ToSink},
};

/// Broker events taken in before the next batch is cut: batches grow with load.
const EVENTS_PER_TURN: usize = 1024;

/// How often workers that can answer are asked for the external system's health.
const PROBE_EVERY: Duration = Duration::from_secs(30);

/// What a driver is made of.
pub struct Parts {
    /// The Danube cluster.
    pub cluster: Cluster,
    /// What survives restarts.
    pub store: Store,
    /// Whether missing topics are created.
    pub create_topics: bool,
    /// Ends the driver, with a drain.
    pub shutdown: CancellationToken,
    /// Upper bound of the drain.
    pub shutdown_timeout: Duration,
    /// Feeds jitter.
    pub seed: u64,
}

/// Moves one sink's records.
pub struct Driver {
    parts: Parts,
    plan: Plan,
    dispatch: Dispatch,
    subscriptions: SelectAll<Indexed>,
    workers: BTreeMap<WorkerId, Worker>,
    rooms: FuturesUnordered<Room>,
    dead_letters: DeadLetters,
    commands: mpsc::Receiver<Command>,
    metrics: SinkMetrics,
    /// Which subscription a partition belongs to.
    owners: HashMap<Arc<str>, usize>,
    attached: HashSet<Arc<str>>,
    troubles: Vec<Option<String>>,
    gaps: u64,
    failed: Option<String>,
    probes: u64,
    /// When this driver must have ended; none while it serves.
    deadline: Option<Instant>,
}

impl Driver {
    /// Starts the subscriptions. `open` is the first worker's proposal, where the
    /// sink exists because of it.
    pub fn new(parts: Parts, plan: Plan, open: Option<&SinkOpen>) -> (Self, Sink) {
        let (sender, commands) = mpsc::channel(COMMANDS);
        let sink = Sink { commands: sender };
        let dead_letters = DeadLetters::new(parts.cluster.clone(), &plan.connector);
        let mut driver = Self {
            dispatch: Dispatch::new(plan.rules(open), parts.seed),
            subscriptions: SelectAll::new(),
            workers: BTreeMap::new(),
            rooms: FuturesUnordered::new(),
            dead_letters,
            commands,
            metrics: SinkMetrics::new(&plan.connector.name),
            owners: HashMap::new(),
            attached: HashSet::new(),
            troubles: vec![None; plan.subscriptions.len()],
            gaps: 0,
            failed: None,
            probes: 0,
            deadline: None,
            parts,
            plan,
        };
        driver.subscribe();
        (driver, sink)
    }

    fn subscribe(&mut self) {
        for (index, wanted) in self.plan.subscriptions.iter().enumerate() {
            let spec = SubscriptionSpec {
                topic: wanted.topic.as_str().into(),
                subscription: wanted.subscription.as_str().into(),
                kind: broker_kind(wanted.kind),
                consumer_name: wanted.consumer_name.clone(),
                key_filters: wanted.key_filters.clone(),
                create_topic: self.parts.create_topics,
                sole_consumer: wanted.kind != SubscriptionKind::Shared,
            };
            let inner = self.parts.cluster.subscribe(spec, self.parts.store.clone());
            self.subscriptions.push(Indexed { index, inner });
        }
    }

    /// Runs until the shutdown, and through its drain.
    pub async fn run(mut self) {
        let mut probes = tokio::time::interval(PROBE_EVERY);
        probes.reset();
        let shutdown = self.parts.shutdown.clone();
        while !self.is_finished() {
            self.turn();
            let wakeup = self.next_wakeup();
            tokio::select! {
                Some((index, event)) = self.subscriptions.next() => self.events(index, event),
                Some(command) = self.commands.recv() => self.command(command).await,
                Some((worker, room)) = self.rooms.next() => self.room(worker, room),
                Some(record) = self.dead_letters.next() => {
                    self.dispatch.dead_lettered(Instant::now(), record);
                }
                () = sleep_until(wakeup.into()) => self.dispatch.advance(Instant::now()),
                _ = probes.tick() => self.probe(),
                () = shutdown.cancelled(), if self.deadline.is_none() => self.drain(),
            }
        }
        self.close().await;
    }

    fn next_wakeup(&self) -> Instant {
        let far = Instant::now() + Duration::from_secs(3600);
        [self.dispatch.next_wakeup(), self.deadline].into_iter().flatten().min().unwrap_or(far)
    }

    /// Carries out what the core decided.
    fn turn(&mut self) {
        self.carry_out_events();
        self.send_batches();
        self.carry_out_events();
    }

    fn carry_out_events(&mut self) {
        while let Some(event) = self.dispatch.poll_event() {
            match event {
                Event::Resolved { partition, offset, how } => {
                    self.metrics.resolved(how);
                    self.ack(&partition, offset);
                }
                Event::DeadLetter(letter) => self.dead_letters.push(letter),
                Event::GivenUp(letter) => dead_letter::log(
                    &self.plan.connector.name,
                    &letter,
                    "record is given up: there are no dead letters for it",
                ),
                Event::ResultTimeout { worker } => self.result_timeout(worker),
                Event::Suspended { record, code, reason, attempt, .. } => warn!(
                    connector = self.plan.connector.name,
                    partition = &*record.identity.partition, offset = record.identity.offset,
                    attempt, code, reason,
                    "record is exhausted and its lane suspended: mend the cause and restart"
                ),
                Event::Retrying { attempt, code, reason, .. } => {
                    self.metrics.retried();
                    tracing::debug!(
                        connector = self.plan.connector.name, attempt, code, reason,
                        "record failed; it is offered again after a backoff"
                    );
                }
            }
        }
    }

    fn send_batches(&mut self) {
        let now = Instant::now();
        for worker in self.workers.values_mut() {
            while worker.has_room() {
                let Some(batch) = self.dispatch.poll_batch(now, worker.id) else { break };
                self.metrics.delivered(&batch);
                if let Some(room) = worker.send(ToSink::Batch(batch)) {
                    self.rooms.push(room);
                }
            }
        }
    }

    fn ack(&mut self, partition: &Arc<str>, offset: u64) {
        let Some(owner) = self.owners.get(partition) else { return };
        if let Some(subscription) = self.subscriptions.iter_mut().find(|s| s.index == *owner) {
            subscription.inner.ack(partition, offset);
        }
    }

    fn result_timeout(&mut self, worker: WorkerId) {
        let seconds = self.dispatch.settings().result_timeout.map_or(0, |timeout| timeout.as_secs());
        if let Some(worker) = self.workers.get_mut(&worker) {
            worker.end(Some(Refusal::ResultTimeout { seconds }));
        }
    }

    /// One broker event and all that are ready behind it.
    fn events(&mut self, index: usize, event: SubscriptionEvent) {
        self.event(index, event);
        for _ in 1..EVENTS_PER_TURN {
            let Some(Some((index, event))) = self.subscriptions.next().now_or_never() else { break };
            self.event(index, event);
        }
    }

    fn event(&mut self, index: usize, event: SubscriptionEvent) {
        match event {
            SubscriptionEvent::Delivered(record) => {
                let (partition, offset) = (record.identity.partition.clone(), record.identity.offset);
                if self.dispatch.admit(Instant::now(), record) == Admission::Resolved {
                    self.ack(&partition, offset);
                }
                self.metrics.received();
            }
            SubscriptionEvent::Attached { partition } => {
                self.troubles[index] = None;
                self.dispatch.attached(&partition);
                self.attached.insert(partition.clone());
                self.owners.insert(partition, index);
            }
            SubscriptionEvent::Drained { partition } => self.dispatch.drained(&partition),
            SubscriptionEvent::Detached { partition, .. } => _ = self.attached.remove(&partition),
            SubscriptionEvent::Gap { partition, first, last } => {
                self.gaps += last - first + 1;
                self.metrics.gap(last - first + 1);
                warn!(
                    connector = self.plan.connector.name, partition = &*partition, first, last,
                    "the broker passed over messages: they are lost to this subscription; take \
                     messages off faster, or raise the broker's max_unacked_messages"
                );
            }
            SubscriptionEvent::Trouble(trouble) => self.troubles[index] = Some(describe(&trouble)),
        }
    }

    async fn command(&mut self, command: Command) {
        match command {
            Command::Join { open, reply } => self.join(*open, reply).await,
            Command::Said { worker, frame } => self.said(worker, frame),
            Command::Show { reply } => {
                // Who asked may have given up waiting.
                let _ = reply.send(self.view());
            }
            Command::Leave { worker, departure } => {
                if let Some(gone) = self.workers.remove(&worker) {
                    info!(connector = self.plan.connector.name, worker = gone.name, ?departure, "worker left");
                    self.dispatch.leave(Instant::now(), worker, departure);
                }
            }
        }
    }

    async fn join(&mut self, open: SinkOpen, reply: oneshot::Sender<Result<Seat, Refusal>>) {
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
        self.dispatch.retry_policy(self.plan.rules(Some(&open)).retry);
        let id = self.dispatch.join(Instant::now(), self.plan.worker(&open));
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
            self.dispatch.leave(Instant::now(), id, danube_sidecar_core::dispatch::Departure::Released);
            return;
        }
        info!(connector = self.plan.connector.name, worker = name, sdk = open.caller.sdk, "worker joined");
        self.failed = None;
        let worker = Worker::new(id, name, open.caller.capabilities, frames, end);
        self.rooms.push(worker.wait_for_room());
        self.workers.insert(id, worker);
    }

    fn said(&mut self, id: WorkerId, frame: FromSink) {
        let Some(worker) = self.workers.get_mut(&id) else { return };
        match frame {
            FromSink::Results(results) => {
                if let Err(violation) = self.dispatch.results(Instant::now(), id, &results) {
                    worker.end(Some(violation.into()));
                }
            }
            FromSink::Flow { records, bytes } => self.dispatch.resize(id, records, bytes),
            FromSink::Health(health) => {
                self.metrics.healthy(health.healthy);
                if !health.healthy {
                    warn!(
                        connector = self.plan.connector.name, worker = worker.name,
                        message = health.message, "the external system is not well"
                    );
                }
            }
            FromSink::Fault(fault) => {
                warn!(
                    connector = self.plan.connector.name, worker = worker.name,
                    code = fault.code, message = fault.message,
                    "connector failed: its records are offered again to its next session"
                );
                self.failed = Some(fault.message);
                worker.end(None);
            }
            FromSink::Drained => worker.end(None),
        }
    }

    fn room(&mut self, id: WorkerId, room: Option<mpsc::OwnedPermit<ToSink>>) {
        if let (Some(worker), Some(room)) = (self.workers.get_mut(&id), room) {
            worker.room(room);
        }
    }

    fn probe(&mut self) {
        self.probes += 1;
        for worker in self.workers.values() {
            worker.probe(self.probes);
        }
    }

    /// The shutdown begins: nothing new is offered, results still count.
    fn drain(&mut self) {
        // The subscriptions need a share of the time for their last acks.
        let timeout = self.parts.shutdown_timeout.mul_f32(0.8);
        self.deadline = Some(Instant::now() + timeout);
        for worker in self.workers.values_mut() {
            self.dispatch.draining(worker.id);
            worker.drain(timeout);
        }
    }

    /// Whether a drain has come to its end.
    fn is_finished(&mut self) -> bool {
        let Some(deadline) = self.deadline else { return false };
        let now = Instant::now();
        for worker in self.workers.values_mut() {
            let idle = self.dispatch.worker_load(worker.id).is_none_or(|load| load.records == 0);
            if (idle && !worker.owes_drained()) || now >= deadline {
                worker.end(Some(Refusal::ShuttingDown));
            }
        }
        now >= deadline || (self.workers.is_empty() && self.dead_letters.is_empty())
    }

    async fn close(mut self) {
        self.turn();
        let subscriptions = std::mem::take(&mut self.subscriptions);
        let closing = subscriptions.into_iter().map(|subscription| Pin::into_inner(subscription.inner).close());
        let bound = self.parts.shutdown_timeout.mul_f32(0.15);
        if tokio::time::timeout(bound, futures::future::join_all(closing)).await.is_err() {
            warn!(
                connector = self.plan.connector.name,
                "the broker did not answer the last acks in time: those records come again"
            );
        }
    }

    fn attached_to(&self, index: usize) -> usize {
        self.attached.iter().filter(|partition| self.owners.get(*partition) == Some(&index)).count()
    }

    fn view(&self) -> View {
        let subscriptions = self.plan.subscriptions.iter().zip(&self.troubles);
        View {
            dispatch: self.dispatch.status(),
            workers: self.workers.values().map(|worker| worker.name.clone()).collect(),
            subscriptions: subscriptions
                .enumerate()
                .map(|(index, (wanted, trouble))| SubscriptionView {
                    topic: wanted.topic.to_string(),
                    subscription: wanted.subscription.clone(),
                    partitions_attached: self.attached_to(index),
                    trouble: trouble.clone(),
                })
                .collect(),
            gaps: self.gaps,
            failed: self.failed.clone(),
        }
    }
}

/// A subscription that tells which one it is.
struct Indexed {
    index: usize,
    inner: BoxSubscription,
}

impl futures::Stream for Indexed {
    type Item = (usize, SubscriptionEvent);

    fn poll_next(
        mut self: Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Self::Item>> {
        let index = self.index;
        self.inner.poll_next_unpin(context).map(|event| event.map(|event| (index, event)))
    }
}
