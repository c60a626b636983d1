//! Moves one sink's records: from its subscriptions through the delivery rules to
//! its workers, and their results back as broker acks.
//!
//! **Architecture invariant:** every decision is the core's; this file only
//! carries its inputs in and its outputs out.

mod sessions;

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    pin::Pin,
    sync::Arc,
    time::{Duration, Instant},
};

use danube_sidecar_broker::{BoxSubscription, Cluster, SubscriptionEvent, SubscriptionSpec};
use danube_sidecar_core::{
    dispatch::{Admission, Dispatch, Event, WorkerId},
    record::Record,
};
use danube_sidecar_store::Store;
use futures::{
    FutureExt as _, StreamExt as _,
    stream::{FuturesUnordered, SelectAll},
};
use tokio::{sync::mpsc, time::sleep_until};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::{
    COMMANDS, Command, Plan, Sink, SubscriptionView, View,
    settings::broker_kind,
    trouble::describe,
    unacked::Unacked,
    worker::{Room, Worker},
};
use crate::{
    config::SubscriptionKind,
    dead_letter::{self, DeadLetters},
    metrics::SinkMetrics,
    refusal::Refusal,
    session::{SinkOpen, ToSink},
};

/// Broker events taken in before the next batch is cut: batches grow with load.
const EVENTS_PER_TURN: usize = 1024;

/// How often workers that can answer are asked for the external system's health.
const PROBE_EVERY: Duration = Duration::from_secs(30);

/// Of the shutdown timeout: what workers get to finish, and what is gone when the
/// last acks must have been answered.
const WORKERS_SHARE: f32 = 0.7;
const DRIVER_SHARE: f32 = 0.9;

/// What a driver is made of.
pub struct Parts {
    /// The Danube cluster.
    pub cluster: Cluster,
    /// What survives restarts.
    pub store: Store,
    /// Whether missing topics are created.
    pub create_topics: bool,
    /// Un-acked messages that the broker allows a subscription.
    pub broker_window: usize,
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
    /// What the broker waits for.
    unacked: Unacked,
    /// Which subscription a partition belongs to.
    owners: HashMap<Arc<str>, usize>,
    attached: HashSet<Arc<str>>,
    troubles: Vec<Option<String>>,
    gaps: u64,
    failed: Option<String>,
    probes: u64,
    /// When this driver must have ended; none while it serves.
    deadline: Option<Instant>,
    /// When the last acks must have been answered.
    closed_by: Instant,
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
            unacked: Unacked::default(),
            owners: HashMap::new(),
            attached: HashSet::new(),
            troubles: vec![None; plan.subscriptions.len()],
            gaps: 0,
            failed: None,
            probes: 0,
            deadline: None,
            closed_by: Instant::now(),
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
                Event::Resolved { partition, offset, fingerprint, how } => {
                    self.metrics.resolved(how);
                    if self.unacked.resolved(&partition, offset, fingerprint) {
                        self.ack(&partition, offset);
                    }
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
                    partition = &*record.identity.partition,
                    offset = record.identity.offset,
                    attempt,
                    code,
                    reason,
                    "record is exhausted and its lane suspended: mend the cause and restart"
                ),
                Event::Retrying { attempt, code, reason, .. } => {
                    self.metrics.retried();
                    tracing::debug!(
                        connector = self.plan.connector.name,
                        attempt,
                        code,
                        reason,
                        "record failed; it is offered again after a backoff"
                    );
                }
            }
        }
    }

    fn send_batches(&mut self) {
        // What one worker leaves is another's: rounds, until one finds nothing.
        while self.send_round() {}
    }

    fn send_round(&mut self) -> bool {
        let now = Instant::now();
        let mut sent = false;
        for worker in self.workers.values_mut().filter(|worker| worker.has_room()) {
            let Some(batch) = self.dispatch.poll_batch(now, worker.id) else { continue };
            self.metrics.delivered(&batch);
            self.rooms.extend(worker.send(ToSink::Batch(batch)));
            sent = true;
        }
        sent
    }

    fn ack(&mut self, partition: &Arc<str>, offset: u64) {
        let Some(owner) = self.owners.get(partition) else { return };
        if let Some(subscription) = self.subscriptions.iter_mut().find(|s| s.index == *owner) {
            subscription.inner.ack(partition, offset);
        }
    }

    /// One broker event and all that are ready behind it.
    fn events(&mut self, index: usize, event: SubscriptionEvent) {
        self.event(index, event);
        for _ in 1..EVENTS_PER_TURN {
            let Some(Some((index, event))) = self.subscriptions.next().now_or_never() else {
                break;
            };
            self.event(index, event);
        }
    }

    fn event(&mut self, index: usize, event: SubscriptionEvent) {
        match event {
            SubscriptionEvent::Delivered(record) => self.delivered(record),
            SubscriptionEvent::Attached { partition } => {
                self.troubles[index] = None;
                self.dispatch.attached(&partition);
                self.attached.insert(partition.clone());
                self.owners.insert(partition, index);
            }
            SubscriptionEvent::Drained { partition } => self.dispatch.drained(&partition),
            SubscriptionEvent::Detached { partition, .. } => _ = self.attached.remove(&partition),
            // The broker's room has logged it, with the offsets and the remedy.
            SubscriptionEvent::Gap { first, last, .. } => {
                self.gaps += last - first + 1;
                self.metrics.gap(last - first + 1);
            }
            SubscriptionEvent::Trouble(trouble) => self.troubles[index] = Some(describe(&trouble)),
        }
    }

    fn delivered(&mut self, record: Record) {
        self.metrics.received();
        let identity = record.identity.clone();
        let admission = self.dispatch.admit(Instant::now(), record);
        if admission == Admission::Resolved {
            return self.ack(&identity.partition, identity.offset);
        }
        // A partition whose window is full sends nothing more until some of it is
        // resolved: no batch needs to wait for it.
        if self.unacked.delivered(&identity) >= self.parts.broker_window {
            self.dispatch.flush();
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
            Command::Leave { worker, departure } => self.leave(worker, departure),
        }
    }

    /// The shutdown begins: nothing new is offered, results still count.
    fn drain(&mut self) {
        let timeout = self.parts.shutdown_timeout.mul_f32(WORKERS_SHARE);
        self.deadline = Some(Instant::now() + timeout);
        self.closed_by = Instant::now() + self.parts.shutdown_timeout.mul_f32(DRIVER_SHARE);
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
        let closing = subscriptions
            .into_iter()
            .map(|subscription| Pin::into_inner(subscription.inner).close());
        let closed = futures::future::join_all(closing);
        if tokio::time::timeout_at(self.closed_by.into(), closed).await.is_err() {
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
