//! Block 26 of the guide: a unit test.

#[cfg(test)]
use std::collections::HashMap;

#[cfg(test)]
use danube_connect_core::{MessageID, StreamMessage};
use danube_connect_core::{ConnectorResult, SinkRecord};
use serde::Deserialize;

pub struct MyConnector;

#[derive(Debug, Deserialize)]
pub struct Output {
    pub field: String,
}

impl MyConnector {
    pub fn new() -> Self {
        Self
    }

    pub fn transform(&self, record: &SinkRecord) -> ConnectorResult<Output> {
        record.payload_json()
    }
}

#[cfg(test)]
fn create_test_record() -> SinkRecord {
    let message = StreamMessage {
        request_id: 1,
        msg_id: MessageID {
            producer_id: 1,
            topic_name: "/default/events".to_string(),
            broker_addr: "localhost:6650".to_string(),
            topic_offset: 0,
        },
        payload: br#"{"field": "expected_value"}"#.to_vec(),
        publish_time: 0,
        producer_name: "producer".to_string(),
        subscription_name: None,
        attributes: HashMap::new(),
    };
    SinkRecord::from_stream_message(message, None)
}

#[cfg(test)]
mod tests {
    use super::*;
    
    #[tokio::test]
    async fn test_message_transformation() {
        let connector = MyConnector::new();
        let input = create_test_record();
        let output = connector.transform(&input).unwrap();
        
        assert_eq!(output.field, "expected_value");
    }
}
