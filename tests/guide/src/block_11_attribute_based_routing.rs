//! Block 11 of the guide: routing by an attribute.

use async_trait::async_trait;
use danube_connect_core::{ConnectorConfig, ConnectorResult, ConsumerConfig, SinkConnector, SinkRecord};

use crate::external::{Database, ExternalClient, MyData};

#[derive(Default)]
pub struct MySink {
    pub database: Database,
}

impl MySink {
    fn get_collection(&self, table: &str) -> ExternalClient {
        self.database.collection(table)
    }
}

#[async_trait]
impl SinkConnector for MySink {
    async fn process(&mut self, record: SinkRecord) -> ConnectorResult<()> {
        // Route based on message attributes
        let table = record.get_attribute("table").unwrap_or("default");
        let collection = self.get_collection(table);
    
        let data = record.payload_json::<MyData>()?;
        collection.insert(data).await?;
    
        Ok(())
    }

    async fn initialize(&mut self, _config: ConnectorConfig) -> ConnectorResult<()> {
        Ok(())
    }

    async fn consumer_configs(&self) -> ConnectorResult<Vec<ConsumerConfig>> {
        Ok(vec![])
    }
}
