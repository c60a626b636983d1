//! Block 19 of the guide: an event loop.

use async_trait::async_trait;
use danube_connect_core::{ConnectorConfig, ConnectorResult, ProducerConfig, SourceConnector, SourceRecord};
use tokio::sync::mpsc::{self, Receiver};

use crate::external::{ExternalStream as ExternalClient, MyData as Data};

struct MySourceConnector {
    client: Option<ExternalClient>,
    message_rx: Option<Receiver<Data>>,
}

#[async_trait]
impl SourceConnector for MySourceConnector {
    async fn initialize(&mut self, _config: ConnectorConfig) -> ConnectorResult<()> {
        let client = ExternalClient::connect().await?;
        let (tx, rx) = mpsc::channel(1000);
    
        // Spawn background task to receive events
        tokio::spawn(async move {
            loop {
                match client.next_event().await {
                    Ok(event) => { tx.send(event).await.ok(); }
                    Err(e) => { eprintln!("Error: {}", e); }
                }
            }
        });
    
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

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_event_loop_passes_events_on() {
        let mut source = MySourceConnector { client: None, message_rx: None };
        source.initialize(ConnectorConfig::default()).await.expect("it connects");
        let events = source.message_rx.as_mut().expect("a channel");

        assert_eq!(events.recv().await, Some(Data::new("1")));
        assert_eq!(events.recv().await, Some(Data::new("2")));
    }
}
