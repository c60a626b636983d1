//! Block 13 of the guide: initializing a source.

use async_trait::async_trait;
use danube_connect_core::{ConnectorConfig, ConnectorResult, ProducerConfig, SourceConnector, SourceRecord};
use tokio::sync::mpsc;

use crate::external::{ExternalClient, MyData, Settings};

#[derive(Default)]
pub struct MySource {
    pub config: Settings,
    pub message_rx: Option<mpsc::Receiver<MyData>>,
}

async fn event_loop(client: ExternalClient, tx: mpsc::Sender<MyData>) {
    for data in client.read() {
        tx.send(data).await.ok();
    }
}

#[async_trait]
impl SourceConnector for MySource {
    async fn initialize(&mut self, _config: ConnectorConfig) -> ConnectorResult<()> {
        // Connect to external system
        let client = ExternalClient::connect(&self.config.url).await?;
    
        // Subscribe to events
        client.subscribe(&self.config.source_topics).await?;
    
        // Spawn background event loop if needed
        let (tx, rx) = mpsc::channel(1000);
        tokio::spawn(event_loop(client, tx));
        self.message_rx = Some(rx);
    
        Ok(())
    }

    async fn producer_configs(&self) -> ConnectorResult<Vec<ProducerConfig>> {
        Ok(vec![])
    }

    async fn poll(&mut self) -> ConnectorResult<Vec<SourceRecord>> {
        Ok(vec![])
    }
}
