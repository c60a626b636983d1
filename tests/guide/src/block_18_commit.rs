//! Block 18 of the guide: keeping a checkpoint.

use async_trait::async_trait;
use danube_connect_core::{ConnectorConfig, ConnectorResult, Offset, ProducerConfig, SourceConnector, SourceRecord};

use crate::external::Checkpoint;

#[derive(Default)]
pub struct MySource {
    pub checkpoint: Checkpoint,
}

#[async_trait]
impl SourceConnector for MySource {
    async fn commit(&mut self, offsets: Vec<Offset>) -> ConnectorResult<()> {
        if let Some(last_offset) = offsets.last() {
            // Save checkpoint to external system or local state
            self.checkpoint.save(last_offset).await?;
        }
        Ok(())
    }

    async fn initialize(&mut self, _config: ConnectorConfig) -> ConnectorResult<()> {
        Ok(())
    }

    async fn producer_configs(&self) -> ConnectorResult<Vec<ProducerConfig>> {
        Ok(vec![])
    }

    async fn poll(&mut self) -> ConnectorResult<Vec<SourceRecord>> {
        Ok(vec![])
    }
}
