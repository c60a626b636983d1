//! Running a source.

use std::time::Duration;

use tracing::warn;

use super::{Stop, StopHandle};
use crate::{
    ConnectorConfig, ConnectorMetrics, ConnectorResult, ProducerConfig, RetryConfig,
    SourceConnector,
    sidecar::{Persistence, Sidecar},
    source::{Hands, Intake, Outbox, SourceEnd, SourceSession},
};

/// Runs a source: polls the connector as long as the sidecar has demand, hands
/// the records over, and tells the connector what is safe.
///
/// The sidecar is at `DANUBE_SIDECAR_ADDRESS`, by default
/// `http://127.0.0.1:6670`; also `unix:///path`. Where it asks for a token,
/// `DANUBE_SIDECAR_TOKEN` has it. It may come and go: the runtime waits for it,
/// and sends what was not committed again.
pub struct SourceRuntime<C: SourceConnector> {
    hands: Hands<C>,
    config: ConnectorConfig,
    sidecar: Sidecar,
    restored: bool,
    stop: Stop,
}

impl<C: SourceConnector> SourceRuntime<C> {
    /// Prepares a source. Nothing is connected yet.
    ///
    /// # Errors
    /// When the configuration or the environment makes no sense.
    pub async fn new(connector: C, config: ConnectorConfig) -> ConnectorResult<Self> {
        config.validate()?;
        let metrics = ConnectorMetrics::new(&config.connector_name, "multi-topic");
        let rest = Duration::from_millis(config.processing.poll_interval_ms);
        let retry = &config.retry;
        let backoff =
            RetryConfig::new(retry.max_retries, retry.retry_backoff_ms, retry.max_backoff_ms);
        let intake = Intake::new(rest, backoff, metrics.clone());
        Ok(Self {
            hands: Hands { connector, intake, outbox: Outbox::default(), metrics },
            config,
            sidecar: Sidecar::from_env()?,
            restored: false,
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

    /// Something to stop the source with, from another task.
    pub fn stop_handle(&self) -> StopHandle {
        self.stop.handle()
    }

    /// Runs until SIGTERM, SIGINT or a stop by handle, or until the connector is
    /// finished and everything of it is committed.
    ///
    /// # Errors
    /// When `initialize`, `producer_configs`, `restore`, `stream` or `shutdown`
    /// fail, when the connector answers with a fatal error, when a record is
    /// too large for any frame, when the sidecar refuses the connector, or when
    /// another process of the same source takes over.
    pub async fn run(&mut self) -> ConnectorResult<()> {
        let _signals = self.stop.on_signals()?;
        let initialized = self.hands.connector.initialize(self.config.clone());
        let served = match self.stop.unless_requested(initialized).await {
            Some(Err(error)) => return Err(error),
            Some(Ok(())) => {
                self.hands.metrics.set_health(true);
                self.serve().await
            }
            None => Ok(()),
        };
        self.hands.metrics.set_health(false);
        let closed = self.hands.connector.shutdown().await;
        served.and(closed)
    }

    async fn serve(&mut self) -> ConnectorResult<()> {
        let producers = self.hands.connector.producer_configs().await?;
        let mut persistence = Persistence::new(self.sidecar.address());
        while !self.is_done() {
            let lost = match self.session(&producers, &mut persistence).await {
                SourceEnd::Stopped => break,
                SourceEnd::Failed(error) => return Err(error),
                SourceEnd::Lost(error) => error,
            };
            if self.is_done() {
                break;
            }
            let wait = persistence.failed(lost)?;
            self.stop.unless_due(self.hands.outbox.is_empty(), tokio::time::sleep(wait)).await;
        }
        if !self.hands.outbox.is_empty() {
            warn!(
                records = self.hands.outbox.len(),
                "stopping with records that are not committed; they are read again at the next start"
            );
        }
        Ok(())
    }

    async fn session(
        &mut self,
        producers: &[ProducerConfig],
        persistence: &mut Persistence,
    ) -> SourceEnd {
        let opening = SourceSession::open(&self.sidecar, &self.config, producers);
        let idle = self.hands.outbox.is_empty();
        let mut session = match self.stop.unless_due(idle, opening).await {
            None => return SourceEnd::Stopped,
            Some(Err(error)) => return SourceEnd::Lost(error),
            Some(Ok(session)) => session,
        };
        persistence.opened(&session.id);
        if let Err(error) = self.restore(&mut session).await {
            return SourceEnd::Failed(error);
        }
        session.serve(&mut self.hands, &self.stop).await
    }

    /// Tells the connector, once, where to go on.
    async fn restore(&mut self, session: &mut SourceSession) -> ConnectorResult<()> {
        if self.restored {
            return Ok(());
        }
        let Hands { connector, intake, .. } = &mut self.hands;
        let settings = std::mem::take(&mut session.settings);
        let positions = session.positions.clone();
        let restoring = async {
            connector.configure(settings).await?;
            connector.restore(positions).await?;
            connector.stream().await
        };
        let Some(stream) = self.stop.unless_requested(restoring).await else { return Ok(()) };
        if let Some(stream) = stream? {
            intake.streams(stream);
        }
        self.restored = true;
        Ok(())
    }

    /// Whether there is nothing left to do, or no time to do it.
    fn is_done(&self) -> bool {
        let finishing = self.stop.is_requested() || self.hands.intake.has_ended();
        self.stop.is_overdue() || (finishing && self.hands.outbox.is_empty())
    }
}
