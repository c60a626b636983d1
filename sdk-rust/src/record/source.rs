//! A record on its way from an external system to Danube.

use std::collections::HashMap;

use serde::Serialize;

use crate::{ConnectorError, ConnectorResult, Offset, ProducerConfig};

/// A record for Danube, that a source read.
#[derive(Debug, Clone)]
pub struct SourceRecord {
    /// Where to publish it: the topic of one of the connector's `producer_configs`.
    pub topic: String,
    /// The message.
    pub payload: Vec<u8>,
    /// What consumers read beside it.
    pub attributes: HashMap<String, String>,
    /// The routing key: records of one key stay in order, in one partition.
    pub key: Option<String>,
    /// Kept for connectors that set it. Topics are declared by `producer_configs`.
    pub producer_config: Option<ProducerConfig>,
    pub(crate) offset: Option<Offset>,
}

impl SourceRecord {
    /// A record of these bytes.
    pub fn new(topic: impl Into<String>, payload: Vec<u8>) -> Self {
        Self {
            topic: topic.into(),
            payload,
            attributes: HashMap::new(),
            key: None,
            producer_config: None,
            offset: None,
        }
    }

    /// A record of this text.
    pub fn from_string(topic: impl Into<String>, payload: impl Into<String>) -> Self {
        Self::new(topic, payload.into().into_bytes())
    }

    /// A record of this value as JSON.
    ///
    /// # Errors
    /// `Serialization` when the value has no JSON form.
    pub fn from_json<T: Serialize>(topic: impl Into<String>, data: &T) -> ConnectorResult<Self> {
        Ok(Self::new(topic, serde_json::to_vec(data)?))
    }

    /// Adds an attribute.
    pub fn with_attribute(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.attributes.insert(key.into(), value.into());
        self
    }

    /// Adds attributes.
    pub fn with_attributes(mut self, attrs: HashMap<String, String>) -> Self {
        self.attributes.extend(attrs);
        self
    }

    /// Sets the routing key.
    pub fn with_key(mut self, key: impl Into<String>) -> Self {
        self.key = Some(key.into());
        self
    }

    /// Notes the producer that the record is meant for.
    pub fn with_producer_config(mut self, config: ProducerConfig) -> Self {
        self.producer_config = Some(config);
        self
    }

    /// Says where the record stands in the external system. Once Danube has
    /// confirmed everything up to it, the sidecar stores it, hands it to
    /// `commit`, and to `restore` after a restart.
    pub fn with_offset(mut self, offset: Offset) -> Self {
        self.offset = Some(offset);
        self
    }

    /// Where the record stands in the external system, if that was said.
    pub fn offset(&self) -> Option<&Offset> {
        self.offset.as_ref()
    }

    /// The message's size in bytes.
    pub fn size(&self) -> usize {
        self.payload.len()
    }

    /// The message as text.
    ///
    /// # Errors
    /// `Serialization` when it is not UTF-8.
    pub fn payload_str(&self) -> ConnectorResult<&str> {
        std::str::from_utf8(&self.payload).map_err(|error| {
            ConnectorError::Serialization(format!("Payload is not valid UTF-8: {error}"))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_builders_set_what_they_say() {
        let more = HashMap::from([("b".to_owned(), "2".to_owned())]);
        let record = SourceRecord::from_string("/default/t", "text")
            .with_attribute("a", "1")
            .with_attributes(more)
            .with_key("k")
            .with_offset(Offset::new("file", 9));

        assert_eq!(record.topic, "/default/t");
        assert_eq!(record.payload_str().expect("text"), "text");
        assert_eq!(record.size(), 4);
        assert_eq!(record.attributes.len(), 2);
        assert_eq!(record.key.as_deref(), Some("k"));
        assert_eq!(record.offset().map(|offset| offset.value), Some(9));
    }

    #[test]
    fn a_value_is_published_as_json() {
        let record = SourceRecord::from_json("/default/t", &[1, 2]).expect("numbers");

        assert_eq!(record.payload, b"[1,2]");
    }

    #[test]
    fn text_that_is_not_utf8_is_refused() {
        let record = SourceRecord::new("/default/t", vec![0xff]);

        assert!(matches!(record.payload_str(), Err(ConnectorError::Serialization(_))));
    }
}
