//! The smallest sink: prints each record.

use async_trait::async_trait;
use danube_connector_sdk::{
    ConnectorConfig, ConnectorResult, ConsumerConfig, SinkConnector, SinkRecord, SinkRuntime,
    SubscriptionType,
};

struct Hello;

#[async_trait]
impl SinkConnector for Hello {
    async fn initialize(&mut self, _config: ConnectorConfig) -> ConnectorResult<()> {
        Ok(())
    }

    async fn consumer_configs(&self) -> ConnectorResult<Vec<ConsumerConfig>> {
        Ok(vec![ConsumerConfig {
            topic: "/default/hello".to_string(),
            consumer_name: "hello".to_string(),
            subscription: "hello".to_string(),
            subscription_type: SubscriptionType::Exclusive,
        }])
    }

    async fn process(&mut self, record: SinkRecord) -> ConnectorResult<()> {
        println!("{} {}", record.offset(), record.payload_str()?);
        Ok(())
    }
}

#[tokio::main]
async fn main() -> ConnectorResult<()> {
    let config = ConnectorConfig { connector_name: "hello".to_string(), ..Default::default() };
    SinkRuntime::new(Hello, config).await?.run().await
}
