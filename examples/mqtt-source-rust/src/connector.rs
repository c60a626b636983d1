//! The source.

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use async_trait::async_trait;
use danube_connector_sdk::{
    ConnectorConfig, ConnectorError, ConnectorResult, Offset, ProducerConfig, SourceConnector,
    SourceRecord,
};
use tracing::warn;

use crate::{
    config::MqttSettings,
    link::{Link, Message},
};

/// How long a poll waits for the first message.
const PATIENCE: Duration = Duration::from_millis(100);
/// Most messages of one poll.
const MOST: usize = 500;

/// Receives MQTT messages. It has no positions: the MQTT broker itself keeps
/// what is not acknowledged.
pub(crate) struct MqttSource {
    settings: MqttSettings,
    link: Option<Link>,
    /// The messages of each poll that is not committed yet.
    in_hand: VecDeque<Vec<Message>>,
}

impl MqttSource {
    pub(crate) fn new(settings: MqttSettings) -> Self {
        Self { settings, link: None, in_hand: VecDeque::new() }
    }

    fn record(&self, message: &Message) -> Option<SourceRecord> {
        let publish = &message.publish;
        let mapping = self.settings.mapping(&publish.topic)?;
        let record = SourceRecord::new(&mapping.danube_topic, publish.payload.to_vec())
            .with_key(&publish.topic)
            .with_attribute("mqtt_topic", &publish.topic)
            .with_attribute("mqtt_qos", (publish.qos as u8).to_string());
        Some(if publish.retain { record.with_attribute("mqtt_retain", "true") } else { record })
    }

    fn link(&mut self) -> ConnectorResult<&mut Link> {
        self.link.as_mut().ok_or_else(|| ConnectorError::fatal("initialize() was not called"))
    }
}

#[async_trait]
impl SourceConnector for MqttSource {
    async fn initialize(&mut self, _config: ConnectorConfig) -> ConnectorResult<()> {
        let settings = &self.settings;
        self.link = Some(Link::open(settings.options(), settings.filters(), settings.queue_size));
        Ok(())
    }

    async fn producer_configs(&self) -> ConnectorResult<Vec<ProducerConfig>> {
        let mut producers = BTreeMap::new();
        for mapping in &self.settings.topic_mappings {
            producers.entry(&mapping.danube_topic).or_insert_with(|| ProducerConfig {
                topic: mapping.danube_topic.clone(),
                partitions: mapping.partitions,
                reliable_dispatch: mapping.reliable,
            });
        }
        Ok(producers.into_values().collect())
    }

    async fn poll(&mut self) -> ConnectorResult<Vec<SourceRecord>> {
        let messages = self.link()?.receive(MOST, PATIENCE).await;
        let (mut records, mut in_hand) = (Vec::new(), Vec::new());
        for message in messages {
            match self.record(&message) {
                Some(record) => {
                    records.push(record);
                    in_hand.push(message);
                }
                None => {
                    warn!(topic = message.publish.topic, "no mapping matches; skipping a message");
                    self.link()?.ack(message);
                }
            }
        }
        if !records.is_empty() {
            self.in_hand.push_back(in_hand);
        }
        Ok(records)
    }

    /// Danube has the messages of the oldest poll: now MQTT may forget them.
    async fn commit(&mut self, _offsets: Vec<Offset>) -> ConnectorResult<()> {
        for message in self.in_hand.pop_front().unwrap_or_default() {
            self.link()?.ack(message);
        }
        Ok(())
    }

    async fn shutdown(&mut self) -> ConnectorResult<()> {
        if let Some(link) = self.link.take() {
            link.close().await;
        }
        Ok(())
    }

    async fn health_check(&self) -> ConnectorResult<()> {
        match &self.link {
            Some(link) if link.is_up() => Ok(()),
            _ => Err(ConnectorError::retryable("not connected to the MQTT broker")),
        }
    }
}
