//! Sinks of all three kinds. What they answer depends on the payload:
//! "retry…", "bad…" and "fatal…" fail as they say.

use async_trait::async_trait;
use danube_connector_sdk::{
    ConnectorConfig, ConnectorError, ConnectorResult, ConsumerConfig, SinkConnector, SinkRecord,
    SubscriptionType,
};
use tokio::sync::Semaphore;

use super::Journal;

fn answer(text: &str) -> ConnectorResult<()> {
    if text.starts_with("retry") {
        return Err(ConnectorError::retryable("busy"));
    }
    if text.starts_with("bad") {
        return Err(ConnectorError::invalid_data("malformed", Vec::new()));
    }
    if text.starts_with("fatal") {
        return Err(ConnectorError::fatal("disk full"));
    }
    Ok(())
}

fn consumers() -> Vec<ConsumerConfig> {
    vec![ConsumerConfig {
        topic: "/default/orders".to_owned(),
        consumer_name: "consumer".to_owned(),
        subscription: "subscription".to_owned(),
        subscription_type: SubscriptionType::Shared,
    }]
}

fn text(record: &SinkRecord) -> &str {
    record.payload_str().expect("text")
}

/// Implements `process` only.
pub(crate) struct SingleSink {
    pub(crate) journal: Journal,
    /// Each record takes one permit, where there is a gate.
    pub(crate) gate: Option<std::sync::Arc<Semaphore>>,
    pub(crate) initialized: Option<ConnectorError>,
    pub(crate) healthy: bool,
}

impl SingleSink {
    pub(crate) fn new(journal: &Journal) -> Self {
        Self { journal: journal.clone(), gate: None, initialized: None, healthy: true }
    }
}

#[async_trait]
impl SinkConnector for SingleSink {
    async fn initialize(&mut self, _config: ConnectorConfig) -> ConnectorResult<()> {
        self.journal.note("initialize");
        self.initialized.take().map_or(Ok(()), Err)
    }

    async fn consumer_configs(&self) -> ConnectorResult<Vec<ConsumerConfig>> {
        self.journal.note("consumer_configs");
        Ok(consumers())
    }

    async fn process(&mut self, record: SinkRecord) -> ConnectorResult<()> {
        self.journal.note(format!("process {}", text(&record)));
        if let Some(gate) = &self.gate {
            gate.acquire().await.expect("the gate is open").forget();
        }
        answer(text(&record))
    }

    async fn shutdown(&mut self) -> ConnectorResult<()> {
        self.journal.note("shutdown");
        Ok(())
    }

    async fn health_check(&self) -> ConnectorResult<()> {
        if self.healthy { Ok(()) } else { Err(ConnectorError::retryable("no database")) }
    }
}

/// Implements `process_batch`, all or nothing.
pub(crate) struct BatchSink {
    pub(crate) journal: Journal,
}

#[async_trait]
impl SinkConnector for BatchSink {
    async fn initialize(&mut self, _config: ConnectorConfig) -> ConnectorResult<()> {
        Ok(())
    }

    async fn consumer_configs(&self) -> ConnectorResult<Vec<ConsumerConfig>> {
        Ok(consumers())
    }

    async fn process(&mut self, _record: SinkRecord) -> ConnectorResult<()> {
        Err(ConnectorError::fatal("process() is not for this sink"))
    }

    async fn process_batch(&mut self, records: Vec<SinkRecord>) -> ConnectorResult<()> {
        let texts: Vec<_> = records.iter().map(text).collect();
        self.journal.note(format!("batch {}", texts.join(" ")).trim_end());
        texts.into_iter().try_for_each(answer)
    }
}

/// Implements `process_batch_results`.
pub(crate) struct ResultsSink {
    pub(crate) journal: Journal,
    pub(crate) forgets_one: bool,
}

#[async_trait]
impl SinkConnector for ResultsSink {
    async fn initialize(&mut self, _config: ConnectorConfig) -> ConnectorResult<()> {
        Ok(())
    }

    async fn consumer_configs(&self) -> ConnectorResult<Vec<ConsumerConfig>> {
        Ok(consumers())
    }

    async fn process(&mut self, _record: SinkRecord) -> ConnectorResult<()> {
        Err(ConnectorError::fatal("process() is not for this sink"))
    }

    async fn process_batch_results(
        &mut self,
        records: Vec<SinkRecord>,
    ) -> Vec<ConnectorResult<()>> {
        self.journal.note(format!("results {}", records.len()));
        let skipped = usize::from(self.forgets_one);
        records.iter().skip(skipped).map(|record| answer(text(record))).collect()
    }
}
