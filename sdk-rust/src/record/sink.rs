//! A record on its way from Danube to an external system.

use std::{collections::HashMap, sync::Arc};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::{ConnectorError, ConnectorResult, Schema, SchemaType, StreamMessage, sink::Seat};

/// A record from Danube, for a sink to write.
///
/// In tests, make one with [`testing::SinkRecordBuilder`](crate::testing::SinkRecordBuilder).
#[derive(Debug, Clone)]
pub struct SinkRecord {
    /// The message.
    pub payload: Vec<u8>,
    /// What the producer wrote beside it.
    pub attributes: HashMap<String, String>,
    /// Where it comes from.
    pub danube_metadata: DanubeMetadata,
    /// The partition's own topic, where the topic has partitions.
    pub partition: Option<String>,
    pub(crate) delivery: Delivery,
    /// Where the default `process_batch` lays the record for the runtime.
    pub(crate) seat: Option<Seat>,
}

/// Where a record comes from.
#[derive(Debug, Clone)]
pub struct DanubeMetadata {
    /// The topic as subscribed, without a partition.
    pub topic: String,
    /// The offset within the partition.
    pub offset: u64,
    /// When it was published, in milliseconds since the Unix epoch.
    pub publish_time: u64,
    /// The message's id, for logs.
    pub message_id: String,
    /// Who published it.
    pub producer_name: String,
}

/// What the sidecar says about this offer of the record.
#[derive(Debug, Clone, Default)]
pub(crate) struct Delivery {
    pub(crate) id: u64,
    pub(crate) attempt: u32,
    pub(crate) epoch: u64,
    pub(crate) key: Option<String>,
    pub(crate) dedup_id: String,
    pub(crate) subscription: Option<Arc<str>>,
    pub(crate) schema: Option<Arc<Schema>>,
}

impl SinkRecord {
    /// Makes a record of a Danube message.
    pub fn from_stream_message(message: StreamMessage, partition: Option<String>) -> Self {
        let id = message.msg_id;
        let message_id = format!(
            "topic:{}/producer:{}/offset:{}",
            id.topic_name, id.producer_id, id.topic_offset
        );
        let delivery = Delivery {
            attempt: 1,
            subscription: message.subscription_name.map(Into::into),
            ..Delivery::default()
        };
        Self {
            payload: message.payload,
            attributes: message.attributes,
            danube_metadata: DanubeMetadata {
                topic: id.topic_name,
                offset: id.topic_offset,
                publish_time: message.publish_time,
                message_id,
                producer_name: message.producer_name,
            },
            partition,
            delivery,
            seat: None,
        }
    }

    /// The message.
    pub fn payload(&self) -> &[u8] {
        &self.payload
    }

    /// The message's size in bytes.
    pub fn payload_size(&self) -> usize {
        self.payload.len()
    }

    /// The message as JSON, read by its type: JSON as it is, a string as
    /// `{"data": …}`, a number as `{"value": …}`, bytes as
    /// `{"data": <base64>, "size": …}`.
    ///
    /// # Errors
    /// `InvalidData` when the payload is not of this type.
    pub fn payload_deserialized(&self, schema_type: SchemaType) -> ConnectorResult<Value> {
        match schema_type {
            SchemaType::Json => self.payload_json(),
            SchemaType::String => Ok(json!({ "data": self.payload_str()? })),
            SchemaType::Int64 => Ok(json!({ "value": self.payload_int64()? })),
            SchemaType::Bytes => {
                Ok(json!({ "data": self.payload_base64(), "size": self.payload_size() }))
            }
        }
    }

    /// The message as text.
    ///
    /// # Errors
    /// `InvalidData` when it is not UTF-8.
    pub fn payload_str(&self) -> ConnectorResult<&str> {
        std::str::from_utf8(&self.payload)
            .map_err(|error| self.invalid(format!("Payload is not valid UTF-8: {error}")))
    }

    /// The message, decoded from JSON.
    ///
    /// # Errors
    /// `InvalidData` when it is not the JSON of a `T`.
    pub fn payload_json<T: DeserializeOwned>(&self) -> ConnectorResult<T> {
        serde_json::from_slice(&self.payload)
            .map_err(|error| self.invalid(format!("Failed to deserialize JSON: {error}")))
    }

    /// The message as a number: eight bytes, big-endian.
    ///
    /// # Errors
    /// `InvalidData` when there are more or fewer bytes.
    pub fn payload_int64(&self) -> ConnectorResult<i64> {
        let bytes = self.payload.as_slice().try_into().map_err(|_| {
            self.invalid(format!(
                "Int64 payload must be exactly 8 bytes, got {}",
                self.payload.len()
            ))
        })?;
        Ok(i64::from_be_bytes(bytes))
    }

    /// The message in base64.
    pub fn payload_base64(&self) -> String {
        STANDARD.encode(&self.payload)
    }

    /// What the producer wrote beside the message.
    pub fn attributes(&self) -> &HashMap<String, String> {
        &self.attributes
    }

    /// One attribute.
    pub fn get_attribute(&self, key: &str) -> Option<&str> {
        self.attributes.get(key).map(String::as_str)
    }

    /// Whether there is such an attribute.
    pub fn has_attribute(&self, key: &str) -> bool {
        self.attributes.contains_key(key)
    }

    /// The topic as subscribed, without a partition.
    pub fn topic(&self) -> &str {
        &self.danube_metadata.topic
    }

    /// The offset within the partition. It can repeat after a restart of the
    /// broker: use [`dedup_id`](Self::dedup_id) for idempotence.
    pub fn offset(&self) -> u64 {
        self.danube_metadata.offset
    }

    /// When it was published, in milliseconds since the Unix epoch.
    pub fn publish_time(&self) -> u64 {
        self.danube_metadata.publish_time
    }

    /// Who published it.
    pub fn producer_name(&self) -> &str {
        &self.danube_metadata.producer_name
    }

    /// The message's id, for logs.
    pub fn message_id(&self) -> &str {
        &self.danube_metadata.message_id
    }

    /// The subscription it came from.
    pub fn subscription_name(&self) -> Option<&str> {
        self.delivery.subscription.as_deref()
    }

    /// The schema that it was published with, where it has one.
    pub fn schema(&self) -> Option<&Schema> {
        self.delivery.schema.as_deref()
    }

    /// The routing key, where the producer set one.
    pub fn key(&self) -> Option<&str> {
        self.delivery.key.as_deref()
    }

    /// Which offer of the record this is, counted from 1.
    pub fn attempt(&self) -> u32 {
        self.delivery.attempt
    }

    /// The same at every offer of the same message: make writes idempotent with
    /// it. Empty for a record that no sidecar delivered.
    pub fn dedup_id(&self) -> &str {
        &self.delivery.dedup_id
    }

    /// The epoch of the sidecar's session, which grows: a fencing token for
    /// systems that can refuse writes of an older one.
    pub fn epoch(&self) -> u64 {
        self.delivery.epoch
    }

    fn invalid(&self, message: String) -> ConnectorError {
        ConnectorError::invalid_data(message, self.payload.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::MessageID;

    fn record(payload: &[u8]) -> SinkRecord {
        let message = StreamMessage {
            request_id: 1,
            msg_id: MessageID {
                producer_id: 100,
                topic_name: "/default/test".to_owned(),
                broker_addr: "localhost:6650".to_owned(),
                topic_offset: 42,
            },
            payload: payload.to_vec(),
            publish_time: 5,
            producer_name: "p".to_owned(),
            subscription_name: Some("s".to_owned()),
            attributes: HashMap::from([("k".to_owned(), "v".to_owned())]),
        };
        SinkRecord::from_stream_message(message, None)
    }

    #[test]
    fn a_danube_message_becomes_a_record() {
        let record = record(b"text");

        assert_eq!(record.topic(), "/default/test");
        assert_eq!(record.offset(), 42);
        assert_eq!(record.publish_time(), 5);
        assert_eq!(record.producer_name(), "p");
        assert_eq!(record.subscription_name(), Some("s"));
        assert_eq!(record.message_id(), "topic:/default/test/producer:100/offset:42");
        assert_eq!(record.get_attribute("k"), Some("v"));
        assert!(!record.has_attribute("other"));
    }

    #[test]
    fn payloads_are_read_by_their_schema_type() {
        let number = 7_i64.to_be_bytes();

        assert_eq!(
            record(b"[1]").payload_deserialized(SchemaType::Json).expect("JSON"),
            json!([1])
        );
        assert_eq!(
            record(b"a").payload_deserialized(SchemaType::String).expect("text"),
            json!({ "data": "a" })
        );
        assert_eq!(
            record(&number).payload_deserialized(SchemaType::Int64).expect("a number"),
            json!({ "value": 7 })
        );
        assert_eq!(
            record(&[1, 2, 3, 4]).payload_deserialized(SchemaType::Bytes).expect("bytes"),
            json!({ "data": "AQIDBA==", "size": 4 })
        );
    }

    #[test]
    fn a_payload_of_another_type_is_invalid_data() {
        let record = record(&[0xff]);

        assert!(record.payload_str().is_err_and(|error| error.is_invalid_data()));
        assert!(record.payload_int64().is_err_and(|error| error.is_invalid_data()));
        assert!(record.payload_json::<Value>().is_err_and(|error| error.is_invalid_data()));
    }
}
