//! A source without a sidecar.

use std::{collections::VecDeque, time::Duration};

use crate::{
    ConnectorConfig, ConnectorMetrics, ConnectorResult, Offset, ProducerConfig, RetryConfig,
    SourceConnector, SourceRecord,
    source::{Intake, offsets},
};

/// Drives a source as [`SourceRuntime`](crate::SourceRuntime) does.
pub struct SourceDriver<C> {
    connector: C,
    intake: Intake,
    producers: Vec<ProducerConfig>,
    uncommitted: VecDeque<Vec<Offset>>,
}

impl<C: SourceConnector> SourceDriver<C> {
    /// Initializes the connector, asks where it publishes, and lets it resume at
    /// these positions.
    ///
    /// # Errors
    /// Those of the connector, and a wrong configuration.
    pub async fn start(
        mut connector: C,
        config: ConnectorConfig,
        positions: Vec<Offset>,
    ) -> ConnectorResult<Self> {
        config.validate()?;
        let metrics = ConnectorMetrics::new(&config.connector_name, "test");
        let mut intake = Intake::new(Duration::ZERO, RetryConfig::default(), metrics);
        connector.initialize(config).await?;
        let producers = connector.producer_configs().await?;
        connector.restore(positions).await?;
        if let Some(stream) = connector.stream().await? {
            intake.streams(stream);
        }
        Ok(Self { connector, intake, producers, uncommitted: VecDeque::new() })
    }

    /// Where the connector publishes.
    pub fn producers(&self) -> &[ProducerConfig] {
        &self.producers
    }

    /// The records of one poll, or what the stream has. A stream is waited for.
    ///
    /// # Errors
    /// The connector's.
    pub async fn poll(&mut self) -> ConnectorResult<Vec<SourceRecord>> {
        let records = if self.intake.is_polled() {
            self.connector.poll().await?
        } else {
            self.intake.next(usize::MAX).await?
        };
        if !records.is_empty() {
            self.uncommitted.push_back(offsets(&records));
        }
        Ok(records)
    }

    /// Commits what was polled and is not committed yet, poll by poll.
    ///
    /// # Errors
    /// The connector's.
    pub async fn commit(&mut self) -> ConnectorResult<()> {
        while let Some(offsets) = self.uncommitted.pop_front() {
            self.connector.commit(offsets).await?;
        }
        Ok(())
    }

    /// The connector.
    pub fn connector(&mut self) -> &mut C {
        &mut self.connector
    }

    /// Shuts the connector down, and returns it.
    ///
    /// # Errors
    /// The connector's.
    pub async fn shutdown(mut self) -> ConnectorResult<C> {
        self.connector.shutdown().await?;
        Ok(self.connector)
    }
}
