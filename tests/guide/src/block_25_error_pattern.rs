//! Block 25 of the guide: choosing the kind of an error.

use async_trait::async_trait;
use danube_connect_core::{ConnectorConfig, ConnectorError, ConnectorResult, ConsumerConfig, SinkConnector, SinkRecord};

use crate::external::{ExternalClient, MyData};

#[derive(Default)]
pub struct MySink {
    pub client: ExternalClient,
}

#[async_trait]
impl SinkConnector for MySink {
    async fn process(&mut self, record: SinkRecord) -> ConnectorResult<()> {
        let data = record.payload_json::<MyData>()
            .map_err(|e| ConnectorError::invalid_data(
                format!("Bad JSON: {}", e),
                record.payload().to_vec()
            ))?;
    
        self.client.write(data).await
            .map_err(|e| ConnectorError::retryable(
                format!("Write failed: {}", e)
            ))?;
    
        Ok(())
    }

    async fn initialize(&mut self, _config: ConnectorConfig) -> ConnectorResult<()> {
        Ok(())
    }

    async fn consumer_configs(&self) -> ConnectorResult<Vec<ConsumerConfig>> {
        Ok(vec![])
    }
}
