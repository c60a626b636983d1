//! What a delivered message is to us.

use std::sync::Arc;

use danube_core::proto::StreamMessage;
use danube_sidecar_core::record::{Identity, Record, SchemaRef};

use crate::config::SubscriptionSpec;

/// The record in a message of `partition`.
pub(crate) fn record(
    spec: &SubscriptionSpec,
    partition: &Arc<str>,
    message: StreamMessage,
) -> Record {
    let schema = message
        .schema_id
        .zip(message.schema_version)
        .map(|(schema_id, version)| SchemaRef { schema_id, version });
    Record {
        identity: Identity {
            partition: Arc::clone(partition),
            offset: message.msg_id.map_or(0, |id| id.topic_offset),
            producer: message.producer_name.into(),
            request_id: message.request_id,
            publish_time_ms: message.publish_time,
        },
        topic: Arc::clone(&spec.topic),
        subscription: Arc::clone(&spec.subscription),
        key: message.routing_key.map(Into::into),
        payload: message.payload,
        attributes: message.attributes,
        schema,
    }
}

/// Whether a partition is reliable, as far as one attach has shown.
///
/// Nobody says so: a non-reliable one gives every message the offset 0. Within one
/// attach a reliable one never has two different messages there.
#[derive(Debug, Default)]
pub(crate) enum Reliability {
    /// Reliable until shown otherwise.
    #[default]
    Presumed,
    /// A message came at offset 0.
    OneAtZero(Identity),
    /// Acks mean nothing, and nothing comes again.
    None,
}

impl Reliability {
    pub(crate) fn is_none(&self) -> bool {
        matches!(self, Self::None)
    }

    /// Tells whether this delivery settled that there is none.
    pub(crate) fn delivered(&mut self, identity: &Identity) -> bool {
        match self {
            Self::Presumed if identity.offset == 0 => *self = Self::OneAtZero(identity.clone()),
            Self::OneAtZero(one) if identity.offset == 0 && one != identity => {
                *self = Self::None;
                return true;
            }
            _ => {}
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity(offset: u64, request_id: u64) -> Identity {
        Identity {
            partition: "/default/orders".into(),
            offset,
            producer: "shop".into(),
            request_id,
            publish_time_ms: 1,
        }
    }

    #[test]
    fn two_different_messages_at_offset_zero_show_that_there_is_none() {
        let mut reliability = Reliability::default();
        assert!(!reliability.delivered(&identity(0, 1)));
        assert!(reliability.delivered(&identity(0, 2)));
        assert!(reliability.is_none());
    }

    #[test]
    fn a_repeat_of_the_first_message_shows_nothing() {
        let mut reliability = Reliability::default();
        for (offset, request_id) in [(0, 1), (1, 2), (0, 1), (2, 3)] {
            assert!(!reliability.delivered(&identity(offset, request_id)));
        }
        assert!(!reliability.is_none());
    }
}
