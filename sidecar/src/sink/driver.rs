//! Moves one sink's records: from its intake through the delivery rules to its
//! workers, and their results back.
//!
//! **Architecture invariant:** every decision is the core's; this file only
//! carries its inputs in and its outputs out.

mod operate;
mod pauses;
mod sessions;
mod start;

use std::{
    collections::BTreeMap,
    time::{Duration, Instant, SystemTime},
};

use danube_sidecar_core::dispatch::{Breaker, Dispatch, Event, WorkerId};
use danube_sidecar_store::{ReplayFrom, StoreError};
use futures::{StreamExt as _, future::BoxFuture, stream::FuturesUnordered};
use tokio::{
    sync::{mpsc, oneshot},
    time::sleep_until,
};
use tracing::{debug, info, warn};

use self::sessions::{Joining, Seated};
pub use self::start::{Parts, Starting};
use super::{
    Command, Plan, View, Which,
    suspicions::Suspicions,
    worker::{Room, Worker},
};
use crate::{
    clock::now,
    dead_letter::{self, DeadLetters},
    health::PROBE_EVERY,
    intake::Intake,
    metrics::SinkMetrics,
    refusal::Refusal,
    session::ToSink,
};

/// Of the shutdown timeout: what workers get to finish, and what is gone when the
/// last acks must have been answered.
const WORKERS_SHARE: f32 = 0.7;
const DRIVER_SHARE: f32 = 0.9;

/// Records that fail in a view.
const WORST: usize = 5;

/// Moves one sink's records.
pub struct Driver {
    parts: Parts,
    plan: Plan,
    dispatch: Dispatch,
    intake: Intake,
    workers: BTreeMap<WorkerId, Worker>,
    /// When the last worker left; none while there is one.
    alone_since: Option<Instant>,
    rooms: FuturesUnordered<Room>,
    joining: FuturesUnordered<Joining>,
    /// Workers whose seats are taken.
    seated: FuturesUnordered<Seated>,
    replays: FuturesUnordered<BoxFuture<'static, ()>>,
    dead_letters: DeadLetters,
    suspicions: Suspicions,
    commands: mpsc::Receiver<Command>,
    metrics: SinkMetrics,
    failed: Option<String>,
    /// Since when an operator has it paused.
    paused: Option<SystemTime>,
    probes: u64,
    /// When this driver must have ended; none while it serves.
    deadline: Option<Instant>,
    /// When the last acks must have been answered.
    closed_by: Instant,
}

impl Driver {
    /// Runs until the shutdown, and through its drain.
    async fn run(mut self) {
        let mut probes = tokio::time::interval(PROBE_EVERY);
        probes.reset();
        let shutdown = self.parts.shutdown.clone();
        while !self.is_finished() {
            self.turn();
            let wakeup = self.next_wakeup();
            tokio::select! {
                arrival = self.intake.next() => {
                    self.intake.arrived(arrival, &mut self.dispatch, &self.metrics);
                }
                Some(command) = self.commands.recv() => self.command(command),
                Some(joined) = self.joining.next() => self.joined(joined),
                Some((worker, departure)) = self.seated.next() => self.departed(worker, departure),
                Some((worker, room)) = self.rooms.next() => self.room(worker, room),
                // What it wrote is behind what waits: it is read in its turn.
                Some(()) = self.replays.next() => {}
                Some(record) = self.dead_letters.next() => {
                    self.dispatch.dead_lettered(now(), record);
                }
                () = self.suspicions.write() => {}
                // The next turn does what is due.
                () = sleep_until(wakeup.into()) => {}
                _ = probes.tick(), if self.deadline.is_none() => self.probe(),
                () = shutdown.cancelled(), if self.deadline.is_none() => self.drain(),
            }
        }
        self.close().await;
    }

    fn next_wakeup(&self) -> Instant {
        let now = now();
        let patience = self.alone_since.map(|since| since + self.parts.patience);
        let patience = patience.filter(|&at| at > now);
        let intake = self.intake.next_wakeup().filter(|&at| at > now);
        let moments = [self.dispatch.next_wakeup(now), self.deadline, patience, intake];
        moments.into_iter().flatten().min().unwrap_or(now + Duration::from_secs(3600))
    }

    /// Carries out what the core decided.
    fn turn(&mut self) {
        self.dispatch.advance(now());
        self.carry_out_events();
        let wanted = self.wants_records();
        self.intake.turn(wanted, &mut self.dispatch);
        self.metrics.inbox_paused(self.intake.takes_nothing());
        if self.paused.is_none() && self.intake.may_offer() {
            self.send_batches();
            self.carry_out_events();
        }
    }

    /// Whether anybody could be offered records, or soon can.
    fn wants_records(&self) -> bool {
        let absent = self.alone_since.is_some_and(|since| now() >= since + self.parts.patience);
        !absent && self.paused.is_none() && self.dispatch.breaker() != Breaker::Open
    }

    fn carry_out_events(&mut self) {
        while let Some(event) = self.dispatch.poll_event() {
            match event {
                Event::Resolved { partition, offset, fingerprint, how } => {
                    self.metrics.resolved(how);
                    self.intake.resolved(&partition, offset, fingerprint);
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
                    "record is exhausted and its lane suspended: mend the cause, then `danube-sidecar \
                     failing resume` (or `failing skip`, `failing dead-letter`)"
                ),
                Event::Busy { worker } => self.busy(worker),
                Event::PauseEnded { worker } => self.pause_ended(worker),
                Event::AskHealth { worker } => self.ask_health(worker),
                Event::Breaker(breaker) => self.breaker(breaker),
                Event::Suspected { fingerprint, suspicion } => {
                    self.suspicions.keep(fingerprint, suspicion);
                }
                Event::Retrying { attempt, code, reason, .. } => {
                    self.metrics.retried();
                    debug!(
                        connector = self.plan.connector.name,
                        attempt, code, reason, "record failed; it is offered again after a backoff"
                    );
                }
            }
        }
    }

    fn breaker(&self, breaker: Breaker) {
        let connector = &self.plan.connector.name;
        self.metrics.breaker(breaker);
        match breaker {
            Breaker::Open => warn!(
                connector,
                "nothing succeeds at the connector: records wait, one is tried now and then"
            ),
            Breaker::HalfOpen => debug!(connector, "trying one record"),
            Breaker::Closed => info!(connector, "the connector succeeds again: records flow"),
        }
    }

    fn send_batches(&mut self) {
        // What one worker leaves is another's: rounds, until one finds nothing.
        while self.send_round() {}
    }

    fn send_round(&mut self) -> bool {
        let now = now();
        let mut sent = false;
        for worker in self.workers.values_mut().filter(|worker| worker.has_room()) {
            let Some(batch) = self.dispatch.poll_batch(now, worker.id) else { continue };
            self.metrics.delivered(&batch);
            self.rooms.extend(worker.send(ToSink::Batch(batch)));
            sent = true;
        }
        sent
    }

    fn command(&mut self, command: Command) {
        match command {
            Command::Join { open, reply } => self.join(open, reply),
            Command::Said { worker, frame } => self.said(worker, frame),
            Command::Show { reply } => {
                // Who asked may have given up waiting.
                let _ = reply.send(self.view());
            }
            Command::Replay { from, reply } => self.replay(from, reply),
            Command::Failing { which, most, reply } => {
                let _ = reply.send(self.failing(&which, most));
            }
            Command::Decide { which, order, dry_run, reply } => {
                let _ = reply.send(self.decide(&which, order, dry_run));
            }
            Command::Pause { paused, reply } => {
                let _ = reply.send(self.pause(paused));
            }
        }
    }

    /// The shutdown begins: nothing new is offered, results still count.
    fn drain(&mut self) {
        let timeout = self.parts.shutdown_timeout.mul_f32(WORKERS_SHARE);
        self.deadline = Some(now() + timeout);
        self.closed_by = now() + self.parts.shutdown_timeout.mul_f32(DRIVER_SHARE);
        for worker in self.workers.values_mut() {
            self.dispatch.draining(worker.id);
            worker.drain(timeout);
        }
    }

    /// Whether a drain has come to its end.
    fn is_finished(&mut self) -> bool {
        if self.deadline.is_none() && self.is_drained() {
            info!(connector = self.plan.connector.name, "all that was left is delivered");
            self.drain();
        }
        let Some(deadline) = self.deadline else { return false };
        let now = now();
        for worker in self.workers.values_mut() {
            let idle = self.dispatch.worker_load(worker.id).is_none_or(|load| load.records == 0);
            if (idle && !worker.owes_drained()) || now >= deadline {
                worker.end(Some(Refusal::ShuttingDown));
            }
        }
        now >= deadline || (self.workers.is_empty() && self.dead_letters.is_empty())
    }

    /// Whether nothing is left of what it is to drain.
    fn is_drained(&self) -> bool {
        self.plan.drains && self.dispatch.unresolved() == 0 && self.intake.is_empty()
    }

    async fn close(mut self) {
        let (connector, closed_by) = (self.plan.connector.name.clone(), self.closed_by);
        let closed = tokio::time::timeout_at(closed_by.into(), async {
            self.settle().await;
            self.intake.close().await;
        });
        if closed.await.is_err() {
            warn!(
                connector,
                "the broker or the disk did not answer in time: some records come again"
            );
        }
    }

    /// Has written what is resolved and what was taken from the broker.
    async fn settle(&mut self) {
        self.turn();
        while !self.intake.is_settled() {
            let arrival = self.intake.next().await;
            self.intake.arrived(arrival, &mut self.dispatch, &self.metrics);
            self.turn();
        }
    }

    fn replay(
        &mut self,
        from: ReplayFrom,
        reply: oneshot::Sender<Option<Result<u64, StoreError>>>,
    ) {
        let Some(replay) = self.intake.replay(from) else {
            // Who asked may have given up waiting.
            let _ = reply.send(None);
            return;
        };
        self.replays.push(Box::pin(async move { _ = reply.send(Some(replay.await)) }));
    }

    fn view(&self) -> View {
        let dispatch = self.dispatch.status();
        let longest = dispatch.longest_in_hand.and_then(|(since, id)| {
            let worker = self.workers.get(&id)?;
            Some((worker.name.clone(), now().saturating_duration_since(since)))
        });
        View {
            dispatch,
            longest_in_hand: longest,
            failing: self.failing(&Which::default(), WORST),
            workers: self.workers.values().map(|worker| worker.name.clone()).collect(),
            unwell: self.workers.values().filter_map(Worker::unwell).collect(),
            busy: self.busy_workers(),
            intake: self.intake.view(),
            failed: self.failed.clone(),
            paused: self.paused,
        }
    }
}
