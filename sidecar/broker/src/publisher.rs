//! Publishing to a topic.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::{SystemTime, UNIX_EPOCH},
};

use danube_core::proto::{MsgId, StreamMessage};
use futures::{FutureExt, future::BoxFuture};
use prost::Message;

use crate::{
    Outbound, PublishError, PublishTrouble, Publisher, backoff::Backoff, cluster::Cluster,
    config::ProducerSpec, error::Class, hash::fnv1a, producer::Producer,
};

/// Largest encoded message that is published: the broker's limit is 4 MiB, and it
/// delivers a message a little larger than it got it.
const LARGEST: usize = 4 * 1024 * 1024 - 64 * 1024;

impl Cluster {
    /// A publisher for `spec`. It connects with its first message.
    pub fn publisher(&self, spec: ProducerSpec) -> Arc<dyn Publisher> {
        let partitions = Producer::for_partitions(self, &spec);
        Arc::new(TopicPublisher {
            partitions,
            turn: AtomicUsize::new(0),
            requests: AtomicU64::new(first_request_id()),
        })
    }
}

/// Publishes to the partitions of one topic.
struct TopicPublisher {
    partitions: Vec<Producer>,
    turn: AtomicUsize,
    requests: AtomicU64,
}

impl Publisher for TopicPublisher {
    fn publish(&self, message: Outbound) -> BoxFuture<'_, Result<(), PublishError>> {
        self.publish_until_confirmed(message).boxed()
    }

    fn trouble(&self) -> Option<PublishTrouble> {
        self.partitions.iter().find_map(Producer::trouble)
    }
}

impl TopicPublisher {
    async fn publish_until_confirmed(&self, message: Outbound) -> Result<(), PublishError> {
        let producer = self.partition_of(&message);
        let mut message = self.stamp(producer, message);
        let size = message.encoded_len();
        if size > LARGEST {
            return Err(PublishError::TooLarge { size, limit: LARGEST });
        }
        let mut backoff = Backoff::calls();
        loop {
            let Err(error) = producer.send(&mut message).await else { return Ok(()) };
            if error.class() == Class::Invalid {
                return Err(PublishError::Invalid { detail: error.to_string() });
            }
            producer.pause(backoff.pause()).await;
        }
    }

    /// The same partition that danube-client's producer takes for a key.
    fn partition_of(&self, message: &Outbound) -> &Producer {
        let count = self.partitions.len();
        let number = match message.key.as_ref().or(message.partition_by.as_ref()) {
            Some(key) => fnv1a(key) as usize % count,
            None => self.turn.fetch_add(1, Ordering::Relaxed) % count,
        };
        &self.partitions[number]
    }

    fn stamp(&self, producer: &Producer, message: Outbound) -> StreamMessage {
        let Outbound { payload, key, partition_by: _, attributes, schema } = message;
        StreamMessage {
            request_id: self.requests.fetch_add(1, Ordering::Relaxed),
            msg_id: Some(MsgId { topic_name: producer.topic().to_owned(), ..MsgId::default() }),
            payload,
            publish_time: now().as_millis() as u64,
            producer_name: producer.name().to_owned(),
            subscription_name: String::new(),
            attributes: attributes.into_iter().collect::<HashMap<_, _>>(),
            schema_id: schema.map(|schema| schema.schema_id),
            schema_version: schema.map(|schema| schema.version),
            routing_key: key.map(|key| key.to_string()),
        }
    }
}

/// A message's identity holds the request id, so no id may come twice from one
/// producer name: later processes begin higher, at up to a million messages a second.
fn first_request_id() -> u64 {
    now().as_micros() as u64
}

fn now() -> std::time::Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}
