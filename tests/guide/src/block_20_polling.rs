//! Block 20 of the guide: polling an external system.

use async_trait::async_trait;
use danube_connect_core::{ConnectorConfig, ConnectorResult, ProducerConfig, SourceConnector, SourceRecord};

use crate::external::{ExternalClient, Settings};

#[derive(Default)]
pub struct MySource {
    pub config: Settings,
    pub client: ExternalClient,
    pub last_position: u64,
}

#[async_trait]
impl SourceConnector for MySource {
    async fn poll(&mut self) -> ConnectorResult<Vec<SourceRecord>> {
        // Query external system for new data
        let new_records = self.client
            .fetch_since(self.last_position)
            .await?;
    
        if let Some(last) = new_records.last() {
            self.last_position = last.id;
        }
    
        new_records.into_iter()
            .map(|r| SourceRecord::from_json(&self.config.topic, &r))
            .collect()
    }

    async fn initialize(&mut self, _config: ConnectorConfig) -> ConnectorResult<()> {
        Ok(())
    }

    async fn producer_configs(&self) -> ConnectorResult<Vec<ProducerConfig>> {
        Ok(vec![])
    }
}
