//! Other Danube programs, written with danube-client alone.

use std::{
    collections::HashMap,
    time::{SystemTime, UNIX_EPOCH},
};

use danube_client::{DanubeClient, SubType};
use tokio::time::timeout;

use crate::process::PATIENCE;

/// A topic or name that no other test and no earlier run uses.
///
/// # Panics
/// When the clock stands before 1970.
pub fn unique(prefix: &str) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
    format!("{prefix}-{}-{}", std::process::id(), now.as_nanos())
}

async fn client(url: &str) -> DanubeClient {
    DanubeClient::builder().service_url(url).build().await.expect("the broker answers")
}

/// Publishes these payloads, in order.
///
/// # Panics
/// When the broker refuses.
pub async fn publish(url: &str, topic: &str, payloads: &[String]) {
    let keyed: Vec<(Option<&str>, &str)> = payloads.iter().map(|p| (None, p.as_str())).collect();
    publish_keyed(url, topic, &keyed).await;
}

/// Publishes these payloads with their routing keys, in order.
///
/// # Panics
/// When the broker refuses.
pub async fn publish_keyed(url: &str, topic: &str, records: &[(Option<&str>, &str)]) {
    publish_to_partitions(url, topic, 0, records).await;
}

/// The same to a topic with so many partitions; without records it is only created.
///
/// # Panics
/// When the broker refuses.
pub async fn publish_to_partitions(
    url: &str,
    topic: &str,
    partitions: usize,
    records: &[(Option<&str>, &str)],
) {
    let client = client(url).await;
    let producer = client.new_producer().with_topic(topic).with_name(unique("producer"));
    let producer = match partitions {
        0 => producer,
        partitions => producer.with_partitions(partitions),
    };
    let mut producer = producer.with_reliable_dispatch().build().expect("a producer");
    producer.create().await.expect("the topic can be created");
    for (key, payload) in records {
        let attributes = HashMap::from([("test".to_owned(), "yes".to_owned())]);
        let sent = match key {
            Some(key) => {
                producer.send_with_key(payload.as_bytes().to_vec(), Some(attributes), key).await
            }
            None => producer.send(payload.as_bytes().to_vec(), Some(attributes)).await,
        };
        sent.expect("the broker confirms");
    }
}

/// A message as another Danube program gets it.
#[derive(Clone, Debug)]
pub struct Received {
    /// Routing key.
    pub key: Option<String>,
    /// The payload as text.
    pub payload: String,
    /// Attributes.
    pub attributes: HashMap<String, String>,
}

/// Subscribes, lets `act` run, and returns keys and payloads of the first `count`
/// messages that come.
///
/// # Panics
/// When they do not come in time.
pub async fn consume(
    url: &str,
    topic: &str,
    count: usize,
    act: impl Future<Output = ()>,
) -> Vec<(Option<String>, String)> {
    let received = receive(url, topic, count, act).await;
    received.into_iter().map(|message| (message.key, message.payload)).collect()
}

/// Subscribes, lets `act` run, and returns the first `count` messages that come.
///
/// # Panics
/// When they do not come in time.
pub async fn receive(
    url: &str,
    topic: &str,
    count: usize,
    act: impl Future<Output = ()>,
) -> Vec<Received> {
    let client = client(url).await;
    let mut consumer = client
        .new_consumer()
        .with_topic(topic)
        .with_consumer_name(unique("consumer"))
        .with_subscription(unique("subscription"))
        .with_subscription_type(SubType::Exclusive)
        .build()
        .expect("a consumer");
    consumer.subscribe().await.expect("the topic exists");
    let mut messages = consumer.receive().await.expect("a stream");
    act.await;
    let mut received = Vec::with_capacity(count);
    while received.len() < count {
        let next = timeout(PATIENCE, messages.recv()).await;
        let message = next.expect("messages come in time").expect("the stream goes on");
        consumer.ack(&message).await.expect("the broker takes the ack");
        let payload = String::from_utf8_lossy(&message.payload).into_owned();
        let (key, attributes) = (message.routing_key.clone(), message.attributes.clone());
        received.push(Received { key, payload, attributes });
    }
    consumer.close().await;
    received
}
