//! Block 14 of the guide: one topic.

use async_trait::async_trait;
use danube_connect_core::{ConnectorConfig, ConnectorResult, ProducerConfig, SourceConnector, SourceRecord};

pub struct MySource;

#[async_trait]
impl SourceConnector for MySource {
    async fn producer_configs(&self) -> ConnectorResult<Vec<ProducerConfig>> {
        Ok(vec![
            ProducerConfig {
                topic: "/iot/sensors".to_string(),
                partitions: 8,                // Number of partitions
                reliable_dispatch: true,      // Use WAL + Cloud storage
            }
        ])
    }

    async fn initialize(&mut self, _config: ConnectorConfig) -> ConnectorResult<()> {
        Ok(())
    }

    async fn poll(&mut self) -> ConnectorResult<Vec<SourceRecord>> {
        Ok(vec![])
    }
}
