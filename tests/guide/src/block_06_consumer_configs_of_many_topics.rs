//! Block 6 of the guide: a subscription for each topic.

use async_trait::async_trait;
use danube_connect_core::{ConnectorConfig, ConnectorResult, ConsumerConfig, SinkConnector, SinkRecord, SubscriptionType};

use crate::external::Settings;

pub struct MySink {
    pub config: Settings,
}

#[async_trait]
impl SinkConnector for MySink {
    async fn consumer_configs(&self) -> ConnectorResult<Vec<ConsumerConfig>> {
        // Consume from multiple topics
        self.config.topics.iter().map(|topic| {
            // guide: ConsumerConfig {
            Ok(ConsumerConfig {
                topic: topic.clone(),
                consumer_name: self.config.connector_name.clone(),
                subscription: format!("{}-sub", topic),
                subscription_type: SubscriptionType::Shared,
            // guide: }
            })
        }).collect()
    }

    async fn initialize(&mut self, _config: ConnectorConfig) -> ConnectorResult<()> {
        Ok(())
    }

    async fn process(&mut self, _record: SinkRecord) -> ConnectorResult<()> {
        Ok(())
    }
}
