//! A source's stream: demand and commits come, records go.

use std::time::Duration;

use danube_connector_proto::v1::{
    self, SourceServiceRunRequest, SourceServiceRunResponse,
    source_service_client::SourceServiceClient, source_service_run_request::Frame as Up,
    source_service_run_response::Frame as Down,
};
use serde_json::Value;
use tracing::{debug, error, warn};

use super::{Intake, Outbox, convert};
use crate::{
    ConnectorConfig, ConnectorError, ConnectorMetrics, ConnectorResult, Offset, ProducerConfig,
    SourceConnector, SourceRecord,
    health::{self, Checked},
    runtime::Stop,
    sidecar::{self, Session, Sidecar, SidecarError},
};

/// The frame limit of a sidecar that names none: that of every gRPC library,
/// 4 MiB, less the contract's reserve of 64 KiB.
const DEFAULT_LIMIT: usize = (4 << 20) - (64 << 10);
/// How long a poll may go on after the connector was asked to stop.
const POLL_GRACE: Duration = Duration::from_secs(5);

type Wire = Session<SourceServiceRunRequest, SourceServiceRunResponse>;

/// How a session ended.
pub(crate) enum SourceEnd {
    /// Nothing is left to do, or no time to do it.
    Stopped,
    /// The connector cannot go on.
    Failed(ConnectorError),
    /// The sidecar is gone.
    Lost(SidecarError),
}

impl From<SidecarError> for SourceEnd {
    fn from(error: SidecarError) -> Self {
        Self::Lost(error)
    }
}

/// A connector, where its records come from, and those that are not committed.
/// It outlives sessions.
pub(crate) struct Hands<C> {
    pub(crate) connector: C,
    pub(crate) intake: Intake,
    pub(crate) outbox: Outbox,
    pub(crate) metrics: ConnectorMetrics,
}

/// One session of a source.
pub(crate) struct SourceSession {
    wire: Wire,
    /// What the sidecar calls it.
    pub(crate) id: String,
    /// What is durable.
    pub(crate) positions: Vec<Offset>,
    /// What the operator set for this connector.
    pub(crate) settings: Value,
    limit: usize,
    draining: bool,
    said_drained: bool,
}

impl SourceSession {
    pub(crate) async fn open(
        sidecar: &Sidecar,
        config: &ConnectorConfig,
        producers: &[ProducerConfig],
    ) -> Result<Self, SidecarError> {
        let mut client = SourceServiceClient::new(sidecar.connect().await?);
        let open = frame(Up::Open(convert::open(config, producers)));
        let call = |frames| async move { client.run(sidecar.request(frames)).await };
        let mut wire = Wire::open(open, call, SidecarError::of_source).await?;
        match wire.first().await?.frame {
            Some(Down::Opened(mut opened)) => {
                let positions = std::mem::take(&mut opened.positions);
                let positions = all(positions, opened.more_positions, &mut wire).await?;
                Ok(Self {
                    wire,
                    id: opened.session_id,
                    positions: convert::positions(positions),
                    settings: sidecar::settings(&opened.settings_json)?,
                    limit: limit(opened.limits),
                    draining: false,
                    said_drained: false,
                })
            }
            _ => Err(SidecarError::Protocol { what: "its first frame is not `opened`".to_owned() }),
        }
    }

    /// Serves until the session ends, one way or the other.
    pub(crate) async fn serve<C: SourceConnector>(
        mut self,
        hands: &mut Hands<C>,
        stop: &Stop,
    ) -> SourceEnd {
        let safe = hands.outbox.reopen(&self.positions);
        let mut going = told(safe, hands).await;
        let end = loop {
            match going {
                Ok(()) => going = self.turn(hands, stop).await,
                Err(end) => break end,
            }
        };
        let farewell = match &end {
            SourceEnd::Lost(_) => return end,
            SourceEnd::Stopped => self.drained().await,
            SourceEnd::Failed(fault) => {
                let fault = health::fault(fault.code(), &fault.to_string());
                self.wire.send(frame(Up::Fault(fault))).await
            }
        };
        if let Err(error) = farewell.and(self.wire.close().await) {
            warn!(%error, "the sidecar was left without a farewell");
        }
        end
    }

    async fn turn<C: SourceConnector>(
        &mut self,
        hands: &mut Hands<C>,
        stop: &Stop,
    ) -> Result<(), SourceEnd> {
        while let Some(frame) = self.wire.ready().await? {
            self.take(frame, hands).await?;
        }
        self.send(&mut hands.outbox).await?;
        let finishing = stop.is_requested() || hands.intake.has_ended();
        if stop.is_overdue() || (finishing && hands.outbox.is_empty()) {
            return Err(SourceEnd::Stopped);
        }
        if self.draining || (finishing && hands.outbox.is_sent()) {
            self.drained().await?;
        }
        let reads = !finishing && !self.draining && hands.outbox.wants_more();
        if reads && hands.intake.is_polled() && hands.intake.is_due() {
            return self.poll(hands, stop).await;
        }
        self.idle(hands, stop, reads).await
    }

    /// Sends what demand allows.
    async fn send(&mut self, outbox: &mut Outbox) -> Result<(), SourceEnd> {
        while !self.said_drained {
            let next = outbox.next_frame(self.limit);
            let next = next.map_err(|error| {
                SourceEnd::Failed(ConnectorError::fatal_with_source(error.to_string(), error))
            })?;
            let Some(records) = next else { break };
            self.wire.send(frame(Up::Records(records))).await?;
        }
        Ok(())
    }

    /// Says that no more records follow in this session.
    async fn drained(&mut self) -> Result<(), SidecarError> {
        if self.said_drained {
            return Ok(());
        }
        self.said_drained = true;
        self.wire.send(frame(Up::Drained(v1::Drained {}))).await
    }

    /// Polls. Nobody else has the connector meanwhile; one that does not come
    /// back is left when it is time to stop.
    async fn poll<C: SourceConnector>(
        &mut self,
        hands: &mut Hands<C>,
        stop: &Stop,
    ) -> Result<(), SourceEnd> {
        let Hands { connector, intake, .. } = hands;
        let given_up = async {
            stop.requested().await;
            tokio::time::sleep(POLL_GRACE).await;
        };
        let polled = tokio::select! {
            polled = intake.poll(connector) => polled,
            () = given_up => {
                warn!("poll() did not return in {POLL_GRACE:?}; leaving it");
                Ok(Vec::new())
            }
        };
        // A connector that never waits must not keep the stream from moving.
        tokio::task::yield_now().await;
        keep(hands, polled, false)
    }

    /// Waits until something happens.
    async fn idle<C: SourceConnector>(
        &mut self,
        hands: &mut Hands<C>,
        stop: &Stop,
        reads: bool,
    ) -> Result<(), SourceEnd> {
        let polled = hands.intake.is_polled();
        let due = hands.intake.due();
        let room = hands.outbox.room();
        tokio::select! {
            biased;
            () = stop.requested(), if !stop.is_requested() => Ok(()),
            () = stop.overdue() => Ok(()),
            frame = self.wire.next() => self.take(frame?, hands).await,
            () = due, if reads && polled => Ok(()),
            chunk = hands.intake.next(room), if reads && !polled => keep(hands, chunk, true),
        }
    }

    async fn take<C: SourceConnector>(
        &mut self,
        received: SourceServiceRunResponse,
        hands: &mut Hands<C>,
    ) -> Result<(), SourceEnd> {
        match received.frame {
            Some(Down::Demand(demand)) => hands.outbox.demand(demand),
            Some(Down::Committed(committed)) => commit(committed.number, hands).await?,
            Some(Down::Rejected(rejected)) => reject(&rejected, hands).await?,
            Some(Down::Probe(probe)) => {
                let health = Checked::from(hands.connector.health_check().await);
                self.wire.send(frame(Up::Health(health.answer(probe)))).await?;
            }
            Some(Down::Drain(_)) => self.draining = true,
            Some(Down::Opened(_)) => {
                return Err(protocol("it sent `opened` twice".to_owned()).into());
            }
            Some(Down::Positions(_)) => {
                return Err(protocol("it sent positions after the last ones".to_owned()).into());
            }
            None => debug!("the sidecar sent a frame that means nothing to this connector"),
        }
        Ok(())
    }
}

/// The positions of `opened`, and those of the pages that follow it.
async fn all(
    first: Vec<v1::Position>,
    more: bool,
    wire: &mut Wire,
) -> Result<Vec<v1::Position>, SidecarError> {
    let (mut positions, mut more) = (first, more);
    while more {
        let Some(Down::Positions(page)) = wire.first().await?.frame else {
            return Err(protocol("positions were to follow".to_owned()));
        };
        positions.extend(page.positions);
        more = page.more;
    }
    Ok(positions)
}

/// Keeps what was read.
fn keep<C>(
    hands: &mut Hands<C>,
    records: ConnectorResult<Vec<SourceRecord>>,
    streamed: bool,
) -> Result<(), SourceEnd> {
    let records = records.map_err(SourceEnd::Failed)?;
    if records.is_empty() {
        return Ok(());
    }
    hands.metrics.record_batch_size(records.len());
    records.iter().for_each(|_| hands.metrics.record_received());
    match streamed {
        true => hands.outbox.push_streamed(records),
        false => hands.outbox.push(records),
    }
    hands.metrics.set_inflight(hands.outbox.len());
    Ok(())
}

/// Tells the connector what is safe.
async fn commit<C: SourceConnector>(number: u64, hands: &mut Hands<C>) -> Result<(), SourceEnd> {
    let Some(polls) = hands.outbox.commit(number) else {
        return Err(protocol(format!("it committed record {number}, which was not sent")).into());
    };
    told(polls, hands).await
}

/// Tells the connector of each poll that is complete.
async fn told<C: SourceConnector>(
    polls: Vec<Vec<Offset>>,
    hands: &mut Hands<C>,
) -> Result<(), SourceEnd> {
    hands.metrics.set_inflight(hands.outbox.len());
    for offsets in polls {
        offsets.iter().for_each(|_| hands.metrics.record_success());
        match hands.connector.commit(offsets).await {
            Ok(()) => {}
            Err(fault) if fault.stops() => return Err(SourceEnd::Failed(fault)),
            Err(error) => {
                hands.metrics.record_error(error.code());
                error!(%error, "commit failed; the records are safe in Danube all the same");
            }
        }
    }
    Ok(())
}

/// Tells the connector what can never be published.
async fn reject<C: SourceConnector>(
    rejected: &v1::SourceRejected,
    hands: &mut Hands<C>,
) -> Result<(), SourceEnd> {
    let v1::SourceRejected { number, code, message } = rejected;
    hands.metrics.record_error("REJECTED");
    warn!(number, code, "a record can never be published: {message}");
    // One that is committed already is done with.
    let Some(offset) = hands.outbox.offset(*number).cloned() else { return Ok(()) };
    hands.connector.rejected(offset, code, message).await.map_err(SourceEnd::Failed)
}

fn limit(limits: Option<v1::Limits>) -> usize {
    match limits.map(|limits| limits.max_inbound_frame_bytes) {
        None | Some(0) => DEFAULT_LIMIT,
        Some(bytes) => usize::try_from(bytes).unwrap_or(usize::MAX),
    }
}

fn protocol(what: String) -> SidecarError {
    SidecarError::Protocol { what }
}

fn frame(frame: Up) -> SourceServiceRunRequest {
    SourceServiceRunRequest { frame: Some(frame) }
}
