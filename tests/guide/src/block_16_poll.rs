//! Block 16 of the guide: polling a channel.

use std::time::Duration;

use async_trait::async_trait;
use danube_connect_core::{ConnectorConfig, ConnectorResult, ProducerConfig, SourceConnector, SourceRecord};
use tokio::{sync::mpsc, time::timeout};

use crate::external::MyData;

pub struct MySource {
    pub rx: mpsc::Receiver<MyData>,
}

impl MySource {
    fn transform(&self, data: MyData) -> ConnectorResult<SourceRecord> {
        SourceRecord::from_json("/default/events", &data)
    }
}

#[async_trait]
impl SourceConnector for MySource {
    async fn poll(&mut self) -> ConnectorResult<Vec<SourceRecord>> {
        let mut records = Vec::new();
    
        // Check for data (non-blocking with timeout)
        match timeout(Duration::from_millis(100), self.rx.recv()).await {
            Ok(Some(data)) => {
                let record = SourceRecord::from_json("/default/events", &data)?
                    .with_attribute("source", "my-connector")
                    .with_key(&data.id);  // For partitioning
            
                records.push(record);
            
                // Try to get more (batch up to 100)
                while let Ok(data) = self.rx.try_recv() {
                    records.push(self.transform(data)?);
                    if records.len() >= 100 { break; }
                }
            }
            Ok(None) => {}, // Channel closed
            Err(_) => {},    // Timeout - no data
        }
    
        Ok(records)
    }

    async fn initialize(&mut self, _config: ConnectorConfig) -> ConnectorResult<()> {
        Ok(())
    }

    async fn producer_configs(&self) -> ConnectorResult<Vec<ProducerConfig>> {
        Ok(vec![])
    }
}
