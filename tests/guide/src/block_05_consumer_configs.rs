//! Block 5 of the guide: one subscription.

use async_trait::async_trait;
use danube_connect_core::{ConnectorConfig, ConnectorResult, ConsumerConfig, SinkConnector, SinkRecord, SubscriptionType};

pub struct MySink;

#[async_trait]
impl SinkConnector for MySink {
    async fn consumer_configs(&self) -> ConnectorResult<Vec<ConsumerConfig>> {
        Ok(vec![
            ConsumerConfig {
                topic: "/default/events".to_string(),
                consumer_name: "my-sink".to_string(),
                subscription: "my-subscription".to_string(),
                subscription_type: SubscriptionType::Exclusive,
            }
        ])
    }

    async fn initialize(&mut self, _config: ConnectorConfig) -> ConnectorResult<()> {
        Ok(())
    }

    async fn process(&mut self, _record: SinkRecord) -> ConnectorResult<()> {
        Ok(())
    }
}
