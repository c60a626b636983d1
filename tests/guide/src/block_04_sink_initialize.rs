//! Block 4 of the guide: initializing a sink.

use async_trait::async_trait;
use danube_connect_core::{ConnectorConfig, ConnectorResult, ConsumerConfig, SinkConnector, SinkRecord};

use crate::external::{ExternalClient, Settings};

#[derive(Default)]
pub struct MySink {
    pub config: Settings,
    pub client: ExternalClient,
}

#[async_trait]
impl SinkConnector for MySink {
    async fn initialize(&mut self, _config: ConnectorConfig) -> ConnectorResult<()> {
        // Config is already loaded in main.rs via MyConnectorConfig::load()
        // Just validate connector-specific settings if needed
        self.config.validate()?;
    
        // Connect to external system
        self.client = ExternalClient::connect(&self.config.url).await?;
    
        // Test connection
        self.client.ping().await?;
    
        Ok(())
    }

    async fn consumer_configs(&self) -> ConnectorResult<Vec<ConsumerConfig>> {
        Ok(vec![])
    }

    async fn process(&mut self, _record: SinkRecord) -> ConnectorResult<()> {
        Ok(())
    }
}
