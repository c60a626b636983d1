//! Block 12 of the guide: the methods of a source.

use async_trait::async_trait;
use danube_connect_core::{
    ConnectorConfig, ConnectorResult, Offset, ProducerConfig, SourceRecord,
};

#[async_trait]
pub trait SourceConnector {
    async fn initialize(&mut self, config: ConnectorConfig) -> ConnectorResult<()>;
    async fn producer_configs(&self) -> ConnectorResult<Vec<ProducerConfig>>;
    async fn poll(&mut self) -> ConnectorResult<Vec<SourceRecord>>;
    
    // Optional
    async fn commit(&mut self, offsets: Vec<Offset>) -> ConnectorResult<()>;
    async fn shutdown(&mut self) -> ConnectorResult<()>;
    async fn health_check(&self) -> ConnectorResult<()>;
}

/// Every source of the SDK has the methods of the guide's trait.
#[async_trait]
impl<C: danube_connect_core::SourceConnector> SourceConnector for C {
    async fn initialize(&mut self, config: ConnectorConfig) -> ConnectorResult<()> {
        danube_connect_core::SourceConnector::initialize(self, config).await
    }

    async fn producer_configs(&self) -> ConnectorResult<Vec<ProducerConfig>> {
        danube_connect_core::SourceConnector::producer_configs(self).await
    }

    async fn poll(&mut self) -> ConnectorResult<Vec<SourceRecord>> {
        danube_connect_core::SourceConnector::poll(self).await
    }

    async fn commit(&mut self, offsets: Vec<Offset>) -> ConnectorResult<()> {
        danube_connect_core::SourceConnector::commit(self, offsets).await
    }

    async fn shutdown(&mut self) -> ConnectorResult<()> {
        danube_connect_core::SourceConnector::shutdown(self).await
    }

    async fn health_check(&self) -> ConnectorResult<()> {
        danube_connect_core::SourceConnector::health_check(self).await
    }
}
