//! Danube's own types, as connectors know them from the native runtime. They
//! are plain data here: the SDK does not depend on Danube.

use std::{collections::HashMap, fmt};

use serde::{Deserialize, Serialize};

/// How a subscription is shared between consumers.
#[derive(Debug, Clone)]
pub enum SubType {
    /// One consumer, in order.
    Exclusive,
    /// Several consumers share the messages.
    Shared,
    /// One consumer, others stand by.
    FailOver,
}

/// Where a message is in Danube.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct MessageID {
    /// The producer's number within the topic.
    pub producer_id: u64,
    /// The topic.
    pub topic_name: String,
    /// The broker that holds the topic.
    pub broker_addr: String,
    /// The offset within the topic.
    pub topic_offset: u64,
}

impl fmt::Display for MessageID {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "topic:_{}_producer:_{}_topic_offset:_{}",
            self.topic_name, self.producer_id, self.topic_offset
        )
    }
}

/// A message as Danube delivers it. Connectors make them in tests, for
/// [`SinkRecord::from_stream_message`](crate::SinkRecord::from_stream_message).
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct StreamMessage {
    /// The producer's count of its requests.
    pub request_id: u64,
    /// Where the message is.
    pub msg_id: MessageID,
    /// The message itself.
    pub payload: Vec<u8>,
    /// When it was published, in milliseconds since the Unix epoch.
    pub publish_time: u64,
    /// Who published it.
    pub producer_name: String,
    /// The subscription it came from.
    pub subscription_name: Option<String>,
    /// What the producer wrote beside it.
    pub attributes: HashMap<String, String>,
}

impl StreamMessage {
    /// The payload's size in bytes.
    pub fn size(&self) -> usize {
        self.payload.len()
    }

    /// Sets the subscription.
    pub fn add_subscription_name(&mut self, subscription_name: &str) {
        self.subscription_name = Some(subscription_name.to_owned());
    }
}
