//! A sink's stream: batches come, results go.

use std::collections::VecDeque;

use danube_connector_proto::v1::{
    self, SinkServiceRunRequest, sink_service_run_request::Frame as Up,
    sink_service_run_response::Frame as Down,
};
use serde_json::Value;
use tokio::time::Interval;
use tracing::{debug, info, warn};

use super::{Worker, codec, convert, frame::Received, report::Report};
use crate::{
    ConnectorConfig, ConsumerConfig, NotWritten, SinkConnector,
    health::{self, Checked},
    runtime::Stop,
    sidecar::{self, Session, Sidecar, SidecarError},
};

type Wire = Session<SinkServiceRunRequest, Received>;

/// How a session ended.
pub(crate) enum SinkEnd {
    /// The connector was asked to stop, and nothing is left in its hands.
    Stopped,
    /// The connector cannot go on.
    Failed(NotWritten),
    /// What is in hand has to be delivered once more.
    Again,
    /// The sidecar is gone.
    Lost(SidecarError),
}

impl From<SidecarError> for SinkEnd {
    fn from(error: SidecarError) -> Self {
        Self::Lost(error)
    }
}

/// One session of a sink.
pub(crate) struct SinkSession {
    wire: Wire,
    /// What the sidecar calls it.
    pub(crate) id: String,
    /// What the operator set for this connector, at the first session.
    pub(crate) settings: Value,
    /// Frames that came while the connector was writing. The sidecar's window bounds them.
    arrived: VecDeque<Received>,
    report: Report,
    drained: Drained,
}

/// How far the sidecar's wish to drain has come.
#[derive(PartialEq)]
enum Drained {
    No,
    Asked,
    Said,
}

impl SinkSession {
    pub(crate) async fn open(
        sidecar: &Sidecar,
        config: &ConnectorConfig,
        consumers: &[ConsumerConfig],
    ) -> Result<Self, SidecarError> {
        let channel = sidecar.connect().await?;
        let open = frame(Up::Open(convert::open(config, consumers)));
        let call = |frames| codec::run(channel, sidecar.request(frames));
        let mut wire = Wire::open(open, call, SidecarError::of_sink).await?;
        match wire.first().await? {
            Received::Other(Some(Down::Opened(opened))) => Ok(Self {
                wire,
                id: opened.session_id,
                settings: sidecar::settings(&opened.settings_json)?,
                arrived: VecDeque::new(),
                report: Report::default(),
                drained: Drained::No,
            }),
            _ => Err(SidecarError::Protocol { what: "its first frame is not `opened`".to_owned() }),
        }
    }

    /// Serves until the session ends, one way or the other.
    pub(crate) async fn serve<C: SinkConnector>(
        mut self,
        worker: &mut Worker<C>,
        stop: &Stop,
        ticks: &mut Option<Interval>,
    ) -> SinkEnd {
        let end = loop {
            if let Err(end) = self.turn(worker, stop, ticks).await {
                break end;
            }
        };
        worker.release();
        match end {
            SinkEnd::Stopped | SinkEnd::Again => self.leave(Up::Drained(v1::Drained {})).await,
            SinkEnd::Failed(ref error) => self.leave(fault(error)).await,
            SinkEnd::Lost(_) => {}
        }
        end
    }

    async fn turn<C: SinkConnector>(
        &mut self,
        worker: &mut Worker<C>,
        stop: &Stop,
        ticks: &mut Option<Interval>,
    ) -> Result<(), SinkEnd> {
        if !stop.is_requested() {
            while let Some(frame) = self.ready().await? {
                self.take(frame, worker).await?;
            }
        }
        if worker.has_work() && !stop.is_overdue() {
            return self.work(worker).await;
        }
        self.flush().await?;
        if stop.is_requested() {
            return Err(SinkEnd::Stopped);
        }
        if self.drained == Drained::Asked {
            self.wire.send(frame(Up::Drained(v1::Drained {}))).await?;
            self.drained = Drained::Said;
        }
        self.idle(worker, stop, ticks).await
    }

    /// The next frame that is there already.
    async fn ready(&mut self) -> Result<Option<Received>, SidecarError> {
        match self.arrived.pop_front() {
            Some(frame) => Ok(Some(frame)),
            None => self.wire.ready().await,
        }
    }

    /// Calls the connector once. What was answered before is sent meanwhile, and probes
    /// are answered: a record that takes its time must hold up neither.
    async fn work<C: SinkConnector>(&mut self, worker: &mut Worker<C>) -> Result<(), SinkEnd> {
        let health = worker.health.clone();
        let mut step = std::pin::pin!(worker.step());
        let mut kept = Ok(());
        let step = loop {
            tokio::select! {
                biased;
                step = &mut step => break step,
                () = self.report.due(), if kept.is_ok() => kept = self.flush().await,
                frame = self.wire.next(), if kept.is_ok() => {
                    kept = self.keep(frame, &health).await;
                }
            }
        };
        kept?;
        for (id, result) in &step.answers {
            self.report.add(*id, result);
        }
        if step.again {
            info!(
                "the connector refused a batch as invalid: it is delivered once more, and from \
                 here on such a batch is halved"
            );
            self.flush().await?;
            return Err(SinkEnd::Again);
        }
        if self.report.is_due() || step.answers.len() > 1 || step.fault.is_some() {
            self.flush().await?;
            // A connector that never waits must not keep the stream from moving.
            tokio::task::yield_now().await;
        }
        step.fault.map_or(Ok(()), |fault| Err(SinkEnd::Failed(fault)))
    }

    /// Takes a frame while the connector is writing.
    async fn keep(
        &mut self,
        frame: Result<Received, SidecarError>,
        health: &Checked,
    ) -> Result<(), SidecarError> {
        match frame? {
            Received::Other(Some(Down::Probe(probe))) => {
                self.wire.send(self::frame(Up::Health(health.answer(probe)))).await
            }
            other => {
                self.arrived.push_back(other);
                Ok(())
            }
        }
    }

    /// Waits until something happens.
    async fn idle<C: SinkConnector>(
        &mut self,
        worker: &mut Worker<C>,
        stop: &Stop,
        ticks: &mut Option<Interval>,
    ) -> Result<(), SinkEnd> {
        tokio::select! {
            biased;
            () = stop.requested() => Ok(()),
            frame = self.wire.next() => Ok(self.take(frame?, worker).await?),
            () = tick(ticks) => worker.tick().await.map_err(|fault| SinkEnd::Failed(fault.into())),
        }
    }

    async fn take<C: SinkConnector>(
        &mut self,
        received: Received,
        worker: &mut Worker<C>,
    ) -> Result<(), SidecarError> {
        let other = match received {
            Received::Records(records) => {
                worker.take(records);
                return Ok(());
            }
            Received::Other(other) => other,
        };
        match other {
            Some(Down::Probe(probe)) => {
                worker.health = worker.connector.health_check().await.into();
                self.wire.send(frame(Up::Health(worker.health.answer(probe)))).await?;
            }
            Some(Down::Drain(_)) if self.drained == Drained::No => self.drained = Drained::Asked,
            Some(Down::Opened(_)) => {
                return Err(SidecarError::Protocol { what: "it sent `opened` twice".to_owned() });
            }
            // The decoder has kept it for the records that have it.
            Some(Down::Schema(_)) => {}
            Some(Down::Batch(_) | Down::Drain(_)) | None => {
                debug!("the sidecar sent a frame that means nothing to this connector");
            }
        }
        Ok(())
    }

    async fn flush(&mut self) -> Result<(), SidecarError> {
        for results in self.report.take() {
            self.wire.send(frame(Up::Results(results))).await?;
        }
        Ok(())
    }

    /// Ends before anything was served.
    pub(crate) async fn fail(self, fault: NotWritten) -> SinkEnd {
        self.leave(self::fault(&fault)).await;
        SinkEnd::Failed(fault)
    }

    async fn leave(mut self, last: Up) {
        let left = match self.wire.send(frame(last)).await {
            Ok(()) => self.wire.close().await,
            Err(error) => Err(error),
        };
        if let Err(error) = left {
            warn!(%error, "the sidecar was left without a farewell");
        }
    }
}

fn fault(error: &NotWritten) -> Up {
    Up::Fault(health::fault(error.error_code(), error.message()))
}

fn frame(frame: Up) -> SinkServiceRunRequest {
    SinkServiceRunRequest { frame: Some(frame) }
}

/// The next tick; never, where there are none.
async fn tick(ticks: &mut Option<Interval>) {
    match ticks {
        Some(ticks) => drop(ticks.tick().await),
        None => std::future::pending().await,
    }
}
