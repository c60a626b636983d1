//! Running a sink.

use std::time::Duration;

use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at};

use super::{Stop, StopHandle};
use crate::{
    ConnectorConfig, ConnectorMetrics, ConnectorResult, ConsumerConfig, SinkConnector,
    sidecar::{Persistence, Sidecar},
    sink::{SinkEnd, SinkSession, Worker},
};

/// Runs a sink: takes records from the sidecar, hands them to the connector, and
/// tells the sidecar what became of them.
///
/// The sidecar is at `DANUBE_SIDECAR_ADDRESS`, by default
/// `http://127.0.0.1:6670`; also `unix:///path`. Where it asks for a token,
/// `DANUBE_SIDECAR_TOKEN` has it. It may come and go: the runtime waits for it.
pub struct SinkRuntime<C: SinkConnector> {
    worker: Worker<C>,
    config: ConnectorConfig,
    sidecar: Sidecar,
    metrics: ConnectorMetrics,
    idle_tick: Option<Duration>,
    configured: bool,
    stop: Stop,
}

impl<C: SinkConnector> SinkRuntime<C> {
    /// Prepares a sink. Nothing is connected yet.
    ///
    /// # Errors
    /// When the configuration or the environment makes no sense.
    pub async fn new(connector: C, config: ConnectorConfig) -> ConnectorResult<Self> {
        config.validate()?;
        let metrics = ConnectorMetrics::new(&config.connector_name, "multi-topic");
        Ok(Self {
            worker: Worker::new(connector, metrics.clone()),
            config,
            sidecar: Sidecar::from_env()?,
            metrics,
            idle_tick: None,
            configured: false,
            stop: Stop::default(),
        })
    }

    /// Takes the sidecar at this address, whatever the environment says.
    ///
    /// # Errors
    /// When it is no address.
    pub fn with_sidecar_address(mut self, address: &str) -> ConnectorResult<Self> {
        self.sidecar = self.sidecar.at(address)?;
        Ok(self)
    }

    /// Calls `process_batch` with no records whenever nothing came for so long:
    /// for connectors that buffer and flush by time, as Danube's own runtime
    /// does every 100 ms. Off by default: what is only buffered is already acked.
    pub fn with_idle_tick(mut self, every: Duration) -> Self {
        self.idle_tick = Some(every);
        self
    }

    /// Something to stop the sink with, from another task.
    pub fn stop_handle(&self) -> StopHandle {
        self.stop.handle()
    }

    /// Runs until SIGTERM, SIGINT or a stop by handle.
    ///
    /// # Errors
    /// When `initialize`, `consumer_configs`, `configure` or `shutdown` fail, when the
    /// connector answers with a fatal error, or when the sidecar refuses it.
    pub async fn run(&mut self) -> ConnectorResult<()> {
        let _signals = self.stop.on_signals()?;
        let initialized = self.worker.connector.initialize(self.config.clone());
        let served = match self.stop.unless_requested(initialized).await {
            Some(Err(error)) => return Err(error),
            Some(Ok(())) => {
                self.metrics.set_health(true);
                self.serve().await
            }
            None => Ok(()),
        };
        self.metrics.set_health(false);
        let closed = self.worker.connector.shutdown().await;
        served.and(closed)
    }

    async fn serve(&mut self) -> ConnectorResult<()> {
        let consumers = self.worker.connector.consumer_configs().await?;
        let mut persistence = Persistence::new(self.sidecar.address());
        let mut ticks = self.idle_tick.map(ticks);
        while !self.stop.is_requested() {
            let lost = match self.session(&consumers, &mut persistence, &mut ticks).await {
                SinkEnd::Stopped => break,
                SinkEnd::Failed(error) => return Err(error.into()),
                SinkEnd::Again => continue,
                SinkEnd::Lost(error) => error,
            };
            let wait = persistence.failed(lost)?;
            self.stop.unless_requested(tokio::time::sleep(wait)).await;
        }
        Ok(())
    }

    async fn session(
        &mut self,
        consumers: &[ConsumerConfig],
        persistence: &mut Persistence,
        ticks: &mut Option<Interval>,
    ) -> SinkEnd {
        let opening = SinkSession::open(&self.sidecar, &self.config, consumers);
        match self.stop.unless_requested(opening).await {
            None => SinkEnd::Stopped,
            Some(Err(error)) => SinkEnd::Lost(error),
            Some(Ok(mut session)) => {
                persistence.opened(&session.id);
                match self.configure(&mut session).await {
                    Ok(true) => {}
                    Ok(false) => return SinkEnd::Stopped,
                    Err(error) => return session.fail(error.into()).await,
                }
                session.serve(&mut self.worker, &self.stop, ticks).await
            }
        }
    }

    /// Hands the operator's settings to the connector, once. False when it is time to stop.
    async fn configure(&mut self, session: &mut SinkSession) -> ConnectorResult<bool> {
        if self.configured {
            return Ok(true);
        }
        let configuring = self.worker.connector.configure(std::mem::take(&mut session.settings));
        let Some(configured) = self.stop.unless_requested(configuring).await else {
            return Ok(false);
        };
        self.configured = configured.is_ok();
        configured.map(|()| true)
    }
}

fn ticks(every: Duration) -> Interval {
    let mut ticks = interval_at(Instant::now() + every, every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}
