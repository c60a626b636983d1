//! The connectors that the guide's main functions run.

use async_trait::async_trait;
use danube_connect_core::{
    ConnectorConfig, ConnectorResult, ConsumerConfig, ProducerConfig, SinkConnector, SinkRecord,
    SourceConnector, SourceRecord, SubscriptionType,
};

use crate::MySettings;

/// Checks what it gets.
pub struct MySinkConnector {
    settings: MySettings,
}

impl MySinkConnector {
    pub fn with_config(settings: MySettings) -> Self {
        Self { settings }
    }
}

#[async_trait]
impl SinkConnector for MySinkConnector {
    async fn initialize(&mut self, _config: ConnectorConfig) -> ConnectorResult<()> {
        Ok(())
    }

    async fn consumer_configs(&self) -> ConnectorResult<Vec<ConsumerConfig>> {
        Ok(vec![ConsumerConfig {
            topic: self.settings.topic.clone(),
            consumer_name: "my-sink".to_string(),
            subscription: "my-subscription".to_string(),
            subscription_type: SubscriptionType::Exclusive,
        }])
    }

    async fn process(&mut self, record: SinkRecord) -> ConnectorResult<()> {
        record.payload_str().map(drop)
    }
}

/// Publishes its settings, once.
pub struct MySourceConnector {
    settings: MySettings,
    published: bool,
}

impl MySourceConnector {
    pub fn with_config(settings: MySettings) -> Self {
        Self { settings, published: false }
    }
}

#[async_trait]
impl SourceConnector for MySourceConnector {
    async fn initialize(&mut self, _config: ConnectorConfig) -> ConnectorResult<()> {
        Ok(())
    }

    async fn producer_configs(&self) -> ConnectorResult<Vec<ProducerConfig>> {
        Ok(vec![ProducerConfig {
            topic: self.settings.topic.clone(),
            partitions: 0,
            reliable_dispatch: true,
        }])
    }

    async fn poll(&mut self) -> ConnectorResult<Vec<SourceRecord>> {
        if std::mem::replace(&mut self.published, true) {
            return Ok(vec![]);
        }
        Ok(vec![SourceRecord::from_string(&self.settings.topic, &self.settings.url)])
    }
}
