//! Block 17 of the guide: building records.

use danube_connect_core::{ConnectorResult, SourceRecord};
use serde::Serialize;

pub fn build<T: Serialize>(
    (topic, key, value, routing_key): (&str, &str, &str, &str),
    payload: Vec<u8>,
    text: &str,
    data: T,
) -> ConnectorResult<[SourceRecord; 3]> {
    Ok([
        // guide: SourceRecord::new(topic, payload)
        SourceRecord::new(topic, payload),             // From bytes
        // guide: SourceRecord::from_string(topic, text)
        SourceRecord::from_string(topic, text),        // From string
        // guide: SourceRecord::from_json(topic, &data)
        SourceRecord::from_json(topic, &data)?         // From serializable struct
            .with_attribute(key, value)                // Add metadata
            // guide: .with_key(routing_key)
            .with_key(routing_key),                    // For partitioning
    ])
}
