//! A sink that says "busy" for the payload "busy", one record or one batch at a time.

use std::time::Duration;

use async_trait::async_trait;
use danube_connector_sdk::{
    ConnectorConfig, ConnectorResult, ConsumerConfig, NotWritten, SinkConnector, SinkRecord,
    SubscriptionType,
};

use super::Journal;

/// Implements outcomes.
pub(crate) struct OutcomesSink {
    pub(crate) journal: Journal,
    pub(crate) in_batches: bool,
    pub(crate) pause: Duration,
}

#[async_trait]
impl SinkConnector for OutcomesSink {
    async fn initialize(&mut self, _config: ConnectorConfig) -> ConnectorResult<()> {
        Ok(())
    }

    async fn consumer_configs(&self) -> ConnectorResult<Vec<ConsumerConfig>> {
        Ok(vec![ConsumerConfig {
            topic: "/default/orders".to_owned(),
            consumer_name: "consumer".to_owned(),
            subscription: "subscription".to_owned(),
            subscription_type: SubscriptionType::Exclusive,
        }])
    }

    async fn process(&mut self, record: SinkRecord) -> ConnectorResult<()> {
        Ok(self.process_outcome(record).await?)
    }

    async fn process_outcome(&mut self, record: SinkRecord) -> Result<(), NotWritten> {
        let text = record.payload_str()?;
        self.journal.note(text);
        if text == "busy" {
            return Err(NotWritten::busy("429 Too Many Requests").code("LIMIT").after(self.pause));
        }
        Ok(())
    }

    async fn process_batch_outcomes(
        &mut self,
        records: Vec<SinkRecord>,
    ) -> Vec<Result<(), NotWritten>> {
        if !self.in_batches {
            // As if this method were not here.
            let results = self.process_batch_results(records).await;
            return results.into_iter().map(|result| result.map_err(NotWritten::from)).collect();
        }
        let mut outcomes = Vec::new();
        for record in records {
            outcomes.push(self.process_outcome(record).await);
        }
        outcomes
    }
}
