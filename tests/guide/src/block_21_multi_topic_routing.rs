//! Block 21 of the guide: routing by the external topic.

use async_trait::async_trait;
use danube_connect_core::{ConnectorConfig, ConnectorResult, ProducerConfig, SourceConnector, SourceRecord};

use crate::external::{ExternalMessage, TopicMappings};

#[derive(Default)]
pub struct MySource {
    pub topic_mapping: TopicMappings,
    pub arrived: Vec<ExternalMessage>,
}

impl MySource {
    async fn receive_from_external(&mut self) -> ConnectorResult<Vec<ExternalMessage>> {
        Ok(std::mem::take(&mut self.arrived))
    }
}

#[async_trait]
impl SourceConnector for MySource {
    async fn poll(&mut self) -> ConnectorResult<Vec<SourceRecord>> {
        let external_messages = self.receive_from_external().await?;
    
        external_messages.into_iter().map(|msg| {
            // Route to different Danube topics based on external topic
            let danube_topic = self.topic_mapping.get(&msg.source_topic);
        
            // guide: SourceRecord::new(danube_topic, msg.payload)
            Ok(SourceRecord::new(danube_topic, msg.payload)
                .with_attribute("source_topic", &msg.source_topic)
                // guide: .with_key(&msg.source_topic)
                .with_key(&msg.source_topic))  // Use as routing key
        }).collect()
    }

    async fn initialize(&mut self, _config: ConnectorConfig) -> ConnectorResult<()> {
        Ok(())
    }

    async fn producer_configs(&self) -> ConnectorResult<Vec<ProducerConfig>> {
        Ok(vec![])
    }
}
