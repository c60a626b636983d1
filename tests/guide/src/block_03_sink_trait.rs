//! Block 3 of the guide: the methods of a sink.

use async_trait::async_trait;
use danube_connect_core::{ConnectorConfig, ConnectorResult, ConsumerConfig, SinkRecord};

#[async_trait]
pub trait SinkConnector {
    async fn initialize(&mut self, config: ConnectorConfig) -> ConnectorResult<()>;
    async fn consumer_configs(&self) -> ConnectorResult<Vec<ConsumerConfig>>;
    async fn process(&mut self, record: SinkRecord) -> ConnectorResult<()>;
    
    // Optional (with defaults)
    async fn process_batch(&mut self, records: Vec<SinkRecord>) -> ConnectorResult<()>;
    async fn shutdown(&mut self) -> ConnectorResult<()>;
    async fn health_check(&self) -> ConnectorResult<()>;
}

/// Every sink of the SDK has the methods of the guide's trait.
#[async_trait]
impl<C: danube_connect_core::SinkConnector> SinkConnector for C {
    async fn initialize(&mut self, config: ConnectorConfig) -> ConnectorResult<()> {
        danube_connect_core::SinkConnector::initialize(self, config).await
    }

    async fn consumer_configs(&self) -> ConnectorResult<Vec<ConsumerConfig>> {
        danube_connect_core::SinkConnector::consumer_configs(self).await
    }

    async fn process(&mut self, record: SinkRecord) -> ConnectorResult<()> {
        danube_connect_core::SinkConnector::process(self, record).await
    }

    async fn process_batch(&mut self, records: Vec<SinkRecord>) -> ConnectorResult<()> {
        danube_connect_core::SinkConnector::process_batch(self, records).await
    }

    async fn shutdown(&mut self) -> ConnectorResult<()> {
        danube_connect_core::SinkConnector::shutdown(self).await
    }

    async fn health_check(&self) -> ConnectorResult<()> {
        danube_connect_core::SinkConnector::health_check(self).await
    }
}
