//! A sink without a sidecar.

use crate::{
    ConnectorConfig, ConnectorMetrics, ConnectorResult, ConsumerConfig, NotWritten, SinkConnector,
    SinkRecord, sink::Worker,
};

/// Drives a sink as [`SinkRuntime`](crate::SinkRuntime) does.
pub struct SinkDriver<C> {
    worker: Worker<C>,
    consumers: Vec<ConsumerConfig>,
}

impl<C: SinkConnector> SinkDriver<C> {
    /// Initializes the connector and asks what it consumes.
    ///
    /// # Errors
    /// Those of `initialize` and `consumer_configs`, and a wrong configuration.
    pub async fn start(mut connector: C, config: ConnectorConfig) -> ConnectorResult<Self> {
        config.validate()?;
        let metrics = ConnectorMetrics::new(&config.connector_name, "test");
        connector.initialize(config).await?;
        let consumers = connector.consumer_configs().await?;
        Ok(Self { worker: Worker::new(connector, metrics), consumers })
    }

    /// What the connector consumes.
    pub fn consumers(&self) -> &[ConsumerConfig] {
        &self.consumers
    }

    /// Delivers a batch, and returns what became of each record, in their order.
    /// After a fatal error there are no further results: the fatal one is the last.
    pub async fn deliver(&mut self, records: Vec<SinkRecord>) -> Vec<ConnectorResult<()>> {
        let outcomes = self.deliver_for_outcomes(records).await;
        outcomes.into_iter().map(|outcome| Ok(outcome?)).collect()
    }

    /// As `deliver`, with what the connector said in full.
    pub async fn deliver_for_outcomes(
        &mut self,
        mut records: Vec<SinkRecord>,
    ) -> Vec<Result<(), NotWritten>> {
        for (id, record) in (1..).zip(&mut records) {
            record.delivery.id = id;
        }
        self.worker.take(records.clone());
        let mut answers = Vec::new();
        let mut fault = None;
        while self.worker.has_work() && fault.is_none() {
            let step = self.worker.step().await;
            if step.again {
                self.worker.release();
                records.retain(|record| answers.iter().all(|(id, _)| *id != record.delivery.id));
                self.worker.take(records.clone());
            }
            answers.extend(step.answers);
            fault = step.fault;
        }
        self.worker.release();
        // The next delivery is a later one.
        self.worker.resume();
        answers.sort_by_key(|(id, _)| *id);
        answers.into_iter().map(|(_, result)| result).chain(fault.map(Err)).collect()
    }

    /// Delivers the empty batch of an idle tick.
    ///
    /// # Errors
    /// The connector's, where it is fatal.
    pub async fn tick(&mut self) -> ConnectorResult<()> {
        self.worker.tick().await
    }

    /// The connector.
    pub fn connector(&mut self) -> &mut C {
        &mut self.worker.connector
    }

    /// Shuts the connector down, and returns it.
    ///
    /// # Errors
    /// The connector's.
    pub async fn shutdown(mut self) -> ConnectorResult<C> {
        self.worker.connector.shutdown().await?;
        Ok(self.worker.connector)
    }
}
