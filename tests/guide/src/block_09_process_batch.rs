//! Block 9 of the guide: writing a batch.

use async_trait::async_trait;
use danube_connect_core::{ConnectorConfig, ConnectorResult, ConsumerConfig, SinkConnector, SinkRecord};

use crate::external::{ExternalClient, MyData};

#[derive(Default)]
pub struct MySink {
    pub client: ExternalClient,
}

impl MySink {
    fn transform(&self, record: &SinkRecord) -> ConnectorResult<MyData> {
        record.payload_json()
    }
}

#[async_trait]
impl SinkConnector for MySink {
    async fn process_batch(&mut self, records: Vec<SinkRecord>) -> ConnectorResult<()> {
        // Transform all records
        let items: Vec<_> = records.iter()
            .map(|r| self.transform(r))
            .collect::<Result<_, _>>()?;
    
        // Bulk write to external system
        self.client.bulk_insert(&items).await?;
    
        Ok(())
    }

    async fn initialize(&mut self, _config: ConnectorConfig) -> ConnectorResult<()> {
        Ok(())
    }

    async fn consumer_configs(&self) -> ConnectorResult<Vec<ConsumerConfig>> {
        Ok(vec![])
    }

    async fn process(&mut self, _record: SinkRecord) -> ConnectorResult<()> {
        Ok(())
    }
}
