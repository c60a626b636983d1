//! What the broker publishes when a message's redeliveries are used up.

use std::sync::Arc;

use danube_core::proto::{MsgId, StreamMessage};

use crate::delivery::Delivery;

/// A message to publish to a dead-letter topic.
#[derive(Debug)]
pub(crate) struct DeadLetter {
    pub(crate) topic: String,
    pub(crate) subscription: String,
    pub(crate) offset: u64,
    pub(crate) message: StreamMessage,
}

impl DeadLetter {
    /// The message with Danube's attributes about where it comes from.
    pub(crate) fn new(
        topic: &str,
        subscription: &str,
        offset: u64,
        original: &Arc<StreamMessage>,
        delivery: &Delivery,
    ) -> Self {
        let mut message = StreamMessage::clone(original);
        let id = message.msg_id.take().unwrap_or_default();
        let mut set = |name: &str, value: String| message.attributes.insert(name.into(), value);
        set("x-original-topic", id.topic_name);
        set("x-original-subscription", subscription.to_owned());
        set("x-original-topic-offset", offset.to_string());
        set("x-original-producer-id", id.producer_id.to_string());
        set("x-original-broker-addr", id.broker_addr.clone());
        set("x-poison-policy", "dead_letter".to_owned());
        set("x-delivery-attempt", delivery.sends.to_string());
        if let Some(reason) = &delivery.reason {
            set("x-failure-reason", reason.clone());
        }
        message.msg_id = Some(MsgId {
            producer_id: 0,
            topic_name: topic.to_owned(),
            broker_addr: id.broker_addr,
            topic_offset: 0,
        });
        Self { topic: topic.to_owned(), subscription: subscription.to_owned(), offset, message }
    }
}
