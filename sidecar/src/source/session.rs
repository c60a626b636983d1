//! Moves the records of one source session: from the connector through the lanes
//! to Danube, and the confirmations back as durable positions.
//!
//! **Architecture invariant:** a position is durable before it is reported, and
//! never ahead of a confirmed publish; the core decides both, this file carries.

use std::{sync::Arc, time::Duration};

use danube_sidecar_broker::Outbound;
use danube_sidecar_core::{
    dispatch::Limits,
    publish::{Accepted, Assignment, Event, Publish, Settings},
};
use futures::{StreamExt as _, future::BoxFuture, stream::FuturesUnordered};
use tokio::{
    sync::{mpsc, watch},
    time::Instant,
};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::{
    Outlet, Progress, Publishers, Rejected, SETTLE,
    commits::{Commits, Durable},
    letters::{self, Author, Impossible},
    message::{outbound, rejection, too_large},
};
use crate::{
    config::{Connector, OnReject},
    grpc::MAX_RECORD,
    health::{ExternalSystem, PROBE_EVERY},
    metrics::{SourceMetrics, connector_health},
    refusal::Refusal,
    session::{Capabilities, FromSource, Health, SourceRecord},
};

/// Publishes in flight, over all lanes.
const IN_FLIGHT: usize = 64;

/// What a session is made of.
pub(super) struct Parts {
    pub(super) connector: Connector,
    pub(super) epoch: u64,
    pub(super) worker: String,
    pub(super) capabilities: Capabilities,
    pub(super) commits: Commits,
    pub(super) source: super::Parts,
    pub(super) publishers: Arc<Publishers>,
    pub(super) frames: mpsc::Receiver<FromSource>,
    pub(super) supersede: CancellationToken,
    pub(super) outlet: Outlet,
    /// What is wrong with the external system.
    pub(super) unwell: watch::Sender<Option<String>>,
    /// Becomes true when nothing of the session is left.
    pub(super) settled: watch::Sender<bool>,
}

/// One source session.
pub(super) struct Session {
    parts: Parts,
    publish: Publish<Message>,
    publishes: FuturesUnordered<BoxFuture<'static, Published>>,
    progress: Progress,
    draining: bool,
    external: ExternalSystem,
    metrics: SourceMetrics,
}

/// What is to be published, or what cannot be: its topic is not declared.
enum Message {
    Valid(Outbound),
    Undeclared(Outbound),
}

/// A publish that came to its end.
enum Published {
    Confirmed {
        number: u64,
    },
    Impossible(Impossible),
    /// Its dead letter is confirmed, where there are any, and the connector is told.
    Rejected {
        number: u64,
    },
}

/// Why a session stops taking records.
enum End {
    /// The connector's stream ended, or it said so.
    Left,
    /// It is sent away.
    Refused(Refusal),
}

impl Session {
    pub(super) fn new(parts: Parts) -> Self {
        let delivery = &parts.connector.delivery;
        let window = Limits {
            records: delivery.window_records.unwrap_or(1000),
            bytes: delivery.window_bytes.unwrap_or(16 << 20),
        };
        let settings = Settings { window, max_in_flight: IN_FLIGHT, max_record_bytes: MAX_RECORD };
        Self {
            publish: Publish::new(settings),
            publishes: FuturesUnordered::new(),
            progress: Progress::default(),
            draining: false,
            external: ExternalSystem::default(),
            metrics: SourceMetrics::new(&parts.connector.name),
            parts,
        }
    }

    /// Runs until the connector leaves or is sent away, and until what was
    /// accepted is settled.
    pub(super) async fn run(mut self) {
        let end = match self.serve().await {
            End::Left => None,
            End::Refused(refusal) => Some(refusal),
        };
        self.draining = true;
        self.parts.frames.close();
        if tokio::time::timeout(SETTLE, self.settle()).await.is_err() {
            warn!(
                connector = self.parts.connector.name,
                records = self.publish.uncommitted(),
                "the broker did not confirm all records of the session in time: they are read again"
            );
        }
        info!(
            connector = self.parts.connector.name,
            epoch = self.parts.epoch,
            committed = self.progress.committed,
            "source session ended"
        );
        // The connector may be gone, and no other may be waiting.
        let _ = self.parts.outlet.end.send(end);
        let _ = self.parts.settled.send(true);
    }

    async fn serve(&mut self) -> End {
        let (supersede, shutdown) =
            (self.parts.supersede.clone(), self.parts.source.shutdown.clone());
        let far = Instant::now() + Duration::from_secs(365 * 24 * 60 * 60);
        let mut deadline = far;
        let mut probes = tokio::time::interval(PROBE_EVERY);
        loop {
            self.turn();
            if self.draining && !self.parts.capabilities.drain && self.publish.settled() {
                return End::Refused(Refusal::ShuttingDown);
            }
            let step = tokio::select! {
                frame = self.parts.frames.recv() => self.frame(frame),
                Some(published) = self.publishes.next() => self.published(published),
                Some(durable) = self.parts.commits.next() => self.committed(durable),
                () = supersede.cancelled() => {
                    let connector = self.parts.connector.name.clone();
                    Err(End::Refused(Refusal::Superseded { connector }))
                }
                _ = probes.tick(), if self.parts.capabilities.probe && !self.draining => {
                    self.parts.outlet.probe.send_modify(|number| *number += 1);
                    Ok(())
                }
                () = shutdown.cancelled(), if !self.draining => {
                    deadline = Instant::now() + self.drain();
                    Ok(())
                }
                () = tokio::time::sleep_until(deadline) => {
                    Err(End::Refused(Refusal::ShuttingDown))
                }
            };
            if let Err(end) = step {
                return end;
            }
        }
    }

    /// Asks the connector to finish; tells how long it has.
    fn drain(&mut self) -> Duration {
        self.draining = true;
        let timeout = self.parts.source.shutdown_timeout.mul_f32(0.6);
        let (closed, _) = tokio::sync::oneshot::channel();
        let drain = std::mem::replace(&mut self.parts.outlet.drain, closed);
        // A connector that is gone needs no asking.
        let _ = drain.send(timeout);
        timeout
    }

    /// Waits until everything accepted is committed.
    async fn settle(&mut self) {
        loop {
            self.turn();
            if self.publish.settled() && self.publishes.is_empty() {
                return;
            }
            let step = tokio::select! {
                Some(published) = self.publishes.next() => self.published(published),
                Some(durable) = self.parts.commits.next() => self.committed(durable),
                else => return,
            };
            if step.is_err() {
                return;
            }
        }
    }

    /// Carries out what the core decided.
    fn turn(&mut self) {
        while let Some(assignment) = self.publish.poll_publish() {
            self.publish_one(assignment);
        }
        while let Some(commit) = self.publish.poll_commit() {
            self.parts.commits.push(commit);
        }
        let before = self.progress;
        while let Some(event) = self.publish.poll_event() {
            match event {
                Event::Demand { records, bytes } if !self.draining => {
                    self.progress.demand_records = records;
                    self.progress.demand_bytes = bytes;
                }
                Event::Demand { .. } => {}
                Event::Committed { number } => self.progress.committed = number,
            }
        }
        if self.progress != before {
            self.parts.outlet.progress.send_replace(self.progress);
        }
    }

    fn frame(&mut self, frame: Option<FromSource>) -> Result<(), End> {
        match frame {
            None => Err(End::Left),
            Some(FromSource::Drained) if self.draining => Err(End::Refused(Refusal::ShuttingDown)),
            Some(FromSource::Drained) => Err(End::Left),
            Some(FromSource::Fault(fault)) => {
                warn!(
                    connector = self.parts.connector.name,
                    code = fault.code,
                    message = fault.message,
                    "source failed"
                );
                Err(End::Left)
            }
            Some(FromSource::Health(health)) => {
                self.health(health);
                Ok(())
            }
            Some(FromSource::Records { first_number, records }) => {
                self.accept(first_number, records)
            }
        }
    }

    fn health(&mut self, health: Health) {
        let connector = &self.parts.connector.name;
        self.external.said(connector, &self.parts.worker, health);
        let trouble = self.external.trouble();
        self.parts.unwell.send_replace(trouble.map(str::to_owned));
        connector_health(connector, trouble.is_none());
    }

    fn accept(&mut self, first_number: u64, records: Vec<SourceRecord>) -> Result<(), End> {
        self.metrics.received(records.len());
        let accepted = records.into_iter().map(|record| self.accepted(record)).collect();
        self.publish.accept(first_number, accepted).map_err(|v| End::Refused(v.into()))
    }

    fn accepted(&self, record: SourceRecord) -> Accepted<Message> {
        let topic = self.parts.publishers.topic(&record.topic);
        let (bytes, position) = (record.encoded_len, record.position.clone());
        let key: Option<Arc<str>> = record.key.as_deref().map(Into::into);
        let named = record.topic.clone();
        let message = outbound(record, key.clone());
        let message = match &topic {
            Some(_) => Message::Valid(message),
            None => Message::Undeclared(message),
        };
        let topic = topic.unwrap_or_else(|| named.into());
        Accepted { topic, key, position, bytes, message }
    }

    fn undeclared(&self, number: u64, topic: &str) -> Rejected {
        let declared = self.parts.publishers.declared();
        Rejected {
            number,
            code: "UNDECLARED_TOPIC",
            message: format!("topic `{topic}` is not declared in `open.producers`: {declared}"),
        }
    }

    fn publish_one(&mut self, assignment: Assignment<Message>) {
        let Assignment { number, topic, oversize, message, .. } = assignment;
        let message = match message {
            Message::Undeclared(message) => {
                let rejected = self.undeclared(number, &topic);
                return self.publishes.push(impossible(topic, message, rejected));
            }
            Message::Valid(message) if oversize => {
                let rejected = too_large(number, message.payload.len());
                return self.publishes.push(impossible(topic, message, rejected));
            }
            Message::Valid(message) => message,
        };
        let Some(destination) = self.parts.publishers.destination(&topic) else {
            let rejected = self.undeclared(number, &topic);
            return self.publishes.push(impossible(topic, message, rejected));
        };
        self.publishes.push(Box::pin(async move {
            match destination.publisher().publish(message.clone()).await {
                Ok(()) => Published::Confirmed { number },
                Err(error) => {
                    let rejected = rejection(number, &error);
                    Published::Impossible(Impossible { topic, message, rejected })
                }
            }
        }));
    }

    fn published(&mut self, published: Published) -> Result<(), End> {
        match published {
            Published::Confirmed { number } => {
                self.metrics.confirmed();
                self.publish.confirmed(number);
            }
            Published::Impossible(record) => return self.reject(record),
            Published::Rejected { number } => {
                self.metrics.rejected();
                self.publish.rejected(number);
            }
        }
        Ok(())
    }

    fn reject(&mut self, record: Impossible) -> Result<(), End> {
        let rejected = &record.rejected;
        warn!(
            connector = self.parts.connector.name,
            number = rejected.number,
            code = rejected.code,
            reason = rejected.message,
            "record can never be published"
        );
        if self.parts.connector.dead_letters.on_reject == OnReject::Fail {
            let Rejected { number, message: problem, .. } = record.rejected;
            return Err(End::Refused(Refusal::Unpublishable { number, problem }));
        }
        let dead_letters = self.parts.publishers.dead_letters();
        let copies = self.parts.source.letters.clone();
        let author =
            Author { connector: self.parts.connector.name.clone(), epoch: self.parts.epoch };
        let refusals = self.parts.outlet.rejected.clone();
        self.publishes.push(Box::pin(async move {
            if let Some(destination) = dead_letters {
                letters::settle(&author, copies, &destination, &record).await;
            }
            let Impossible { rejected, message, .. } = record;
            drop(message);
            let number = rejected.number;
            refusals.tell(&author.connector, rejected).await;
            Published::Rejected { number }
        }));
        Ok(())
    }

    fn committed(&mut self, durable: Durable) -> Result<(), End> {
        match durable {
            Durable::Committed { number } => {
                self.publish.persisted(number);
                Ok(())
            }
            Durable::Superseded => {
                let connector = self.parts.connector.name.clone();
                Err(End::Refused(Refusal::Superseded { connector }))
            }
        }
    }
}

fn impossible(
    topic: Arc<str>,
    message: Outbound,
    rejected: Rejected,
) -> BoxFuture<'static, Published> {
    Box::pin(async move { Published::Impossible(Impossible { topic, message, rejected }) })
}
