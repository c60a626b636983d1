//! Block 15 of the guide: a topic for each mapping.

use async_trait::async_trait;
use danube_connect_core::{ConnectorConfig, ConnectorResult, ProducerConfig, SourceConnector, SourceRecord};

use crate::external::Settings;

pub struct MySource {
    pub config: Settings,
}

#[async_trait]
impl SourceConnector for MySource {
    async fn producer_configs(&self) -> ConnectorResult<Vec<ProducerConfig>> {
        // Create producer for each topic mapping
        self.config.topic_mappings.iter().map(|mapping| {
            // guide: ProducerConfig {
            Ok(ProducerConfig {
                topic: mapping.danube_topic.clone(),
                partitions: mapping.partitions,
                reliable_dispatch: mapping.reliable,
            // guide: }
            })
        }).collect()
    }

    async fn initialize(&mut self, _config: ConnectorConfig) -> ConnectorResult<()> {
        Ok(())
    }

    async fn poll(&mut self) -> ConnectorResult<Vec<SourceRecord>> {
        Ok(vec![])
    }
}
