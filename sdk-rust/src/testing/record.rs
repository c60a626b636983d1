//! Records for tests.

use serde::Serialize;

use crate::{ConnectorResult, DanubeMetadata, SinkRecord, record::Delivery};

/// Makes a [`SinkRecord`], as if a sidecar had delivered it.
#[derive(Clone, Debug)]
pub struct SinkRecordBuilder(SinkRecord);

impl SinkRecordBuilder {
    /// A first, empty record of this topic, at offset 0.
    pub fn new(topic: impl Into<String>) -> Self {
        let metadata = DanubeMetadata {
            topic: topic.into(),
            offset: 0,
            publish_time: 0,
            message_id: String::new(),
            producer_name: "test-producer".to_owned(),
        };
        let subscription = Some("test-subscription".into());
        Self(SinkRecord {
            payload: Vec::new(),
            attributes: Default::default(),
            danube_metadata: metadata,
            partition: None,
            delivery: Delivery { attempt: 1, epoch: 1, subscription, ..Delivery::default() },
            seat: None,
        })
    }

    /// Sets the payload.
    pub fn payload(mut self, payload: impl Into<Vec<u8>>) -> Self {
        self.0.payload = payload.into();
        self
    }

    /// Sets the payload to this value's JSON.
    ///
    /// # Errors
    /// When the value has no JSON form.
    pub fn json<T: Serialize>(self, value: &T) -> ConnectorResult<Self> {
        Ok(self.payload(serde_json::to_vec(value)?))
    }

    /// Sets the routing key.
    pub fn key(mut self, key: impl Into<String>) -> Self {
        self.0.delivery.key = Some(key.into());
        self
    }

    /// Adds an attribute.
    pub fn attribute(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.0.attributes.insert(name.into(), value.into());
        self
    }

    /// Sets the offset.
    pub fn offset(mut self, offset: u64) -> Self {
        self.0.danube_metadata.offset = offset;
        self
    }

    /// Sets the partition's own topic.
    pub fn partition(mut self, topic: impl Into<String>) -> Self {
        self.0.partition = Some(topic.into());
        self
    }

    /// Sets the time of publishing, in milliseconds since the Unix epoch.
    pub fn publish_time(mut self, milliseconds: u64) -> Self {
        self.0.danube_metadata.publish_time = milliseconds;
        self
    }

    /// Sets the subscription.
    pub fn subscription(mut self, name: impl Into<String>) -> Self {
        self.0.delivery.subscription = Some(name.into().into());
        self
    }

    /// Sets which offer of the record this is, counted from 1.
    pub fn attempt(mut self, attempt: u32) -> Self {
        self.0.delivery.attempt = attempt;
        self
    }

    /// The record.
    pub fn build(mut self) -> SinkRecord {
        let topic = self.0.partition.as_deref().unwrap_or(self.0.topic()).to_owned();
        self.0.delivery.dedup_id = format!("{topic}@{}", self.0.offset());
        self.0.danube_metadata.message_id =
            format!("topic:{topic}/producer:{}/offset:{}", self.0.producer_name(), self.0.offset());
        self.0
    }
}
