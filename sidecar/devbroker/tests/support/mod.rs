//! A broker for one test: embedded, or the one of DANUBE_SERVICE_URL.

#![allow(dead_code, reason = "each test file uses its part")]

pub(crate) mod raw;

use std::{
    sync::atomic::{AtomicU32, Ordering},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use danube_client::{Consumer, ConsumerOptions, DanubeClient, Producer, SubType};
use danube_core::{admin_proto::topic_admin_client::TopicAdminClient, message::StreamMessage};
use danube_devbroker::{Config, DevBroker};
use tokio::{sync::mpsc, time::timeout};
use tonic::transport::Channel;

/// How long a test waits for what must come.
pub(crate) const SOON: Duration = Duration::from_secs(20);
/// How long a test looks that nothing comes.
pub(crate) const QUIET: Duration = Duration::from_millis(700);

/// A broker and a client of it.
pub(crate) struct Fixture {
    pub(crate) client: DanubeClient,
    pub(crate) url: String,
    pub(crate) admin_url: Option<String>,
    embedded: Option<DevBroker>,
}

impl Fixture {
    /// The broker of DANUBE_SERVICE_URL, else an embedded one with Danube's defaults.
    pub(crate) async fn start() -> Self {
        match std::env::var("DANUBE_SERVICE_URL") {
            Ok(url) => {
                let admin_url = std::env::var("DANUBE_ADMIN_URL").ok();
                Self { client: connect(&url).await, url, admin_url, embedded: None }
            }
            Err(_) => Self::embed(Config::for_tests()).await,
        }
    }

    /// An embedded broker; none where the suite runs against a real one.
    pub(crate) async fn embedded(config: Config) -> Option<Self> {
        if std::env::var_os("DANUBE_SERVICE_URL").is_some() {
            println!("needs the embedded broker");
            return None;
        }
        Some(Self::embed(config).await)
    }

    async fn embed(config: Config) -> Self {
        let broker = DevBroker::start(config).await.expect("the broker starts");
        let url = broker.url();
        let admin_url = broker.admin_url();
        Self { client: connect(&url).await, url, admin_url, embedded: Some(broker) }
    }

    /// The broker that listens there.
    pub(crate) async fn of(url: &str) -> Self {
        Self { client: connect(url).await, url: url.to_owned(), admin_url: None, embedded: None }
    }

    pub(crate) async fn stop(mut self) {
        if let Some(broker) = self.embedded.take() {
            broker.shutdown().await;
        }
    }

    /// Stops the broker as SIGKILL would.
    pub(crate) async fn kill(mut self) {
        if let Some(broker) = self.embedded.take() {
            broker.kill().await;
        }
    }

    pub(crate) async fn raw(&self, topic: &str) -> raw::Raw {
        raw::Raw::connect(&self.url, topic).await
    }

    pub(crate) async fn admin(&self) -> Option<TopicAdminClient<Channel>> {
        let Some(url) = &self.admin_url else {
            println!("needs DANUBE_ADMIN_URL");
            return None;
        };
        Some(TopicAdminClient::connect(url.clone()).await.expect("the admin API answers"))
    }

    pub(crate) async fn producer(&self, topic: &str) -> Producer {
        self.producer_with(topic, None).await
    }

    pub(crate) async fn producer_with(&self, topic: &str, partitions: Option<usize>) -> Producer {
        let builder = self.client.new_producer().with_topic(topic).with_name("producer");
        let builder = builder.with_reliable_dispatch();
        let mut producer = match partitions {
            Some(partitions) => builder.with_partitions(partitions),
            None => builder,
        }
        .build()
        .expect("a valid producer");
        producer.create().await.expect("the producer is created");
        producer
    }

    pub(crate) async fn consumer(&self, topic: &str, name: &str, kind: SubType) -> Reader {
        self.try_consumer(topic, name, kind).await.expect("the consumer subscribes")
    }

    pub(crate) async fn try_consumer(
        &self,
        topic: &str,
        name: &str,
        kind: SubType,
    ) -> Result<Reader, danube_client::errors::DanubeError> {
        let mut consumer = self
            .client
            .new_consumer()
            .with_topic(topic)
            .with_consumer_name(name)
            .with_subscription("subscription")
            .with_subscription_type(kind)
            .with_options(ConsumerOptions::new(1, 50, 50))
            .build()
            .expect("a valid consumer");
        consumer.subscribe().await?;
        let messages = consumer.receive().await?;
        Ok(Reader { consumer, messages })
    }
}

/// A consumer and what it receives.
pub(crate) struct Reader {
    pub(crate) consumer: Consumer,
    messages: mpsc::Receiver<StreamMessage>,
}

impl Reader {
    pub(crate) async fn next(&mut self) -> StreamMessage {
        timeout(SOON, self.messages.recv()).await.expect("a message comes").expect("still open")
    }

    pub(crate) async fn next_within(&mut self, patience: Duration) -> Option<StreamMessage> {
        timeout(patience, self.messages.recv()).await.ok().flatten()
    }

    /// The payload of the next message.
    pub(crate) async fn next_text(&mut self) -> String {
        text(&self.next().await)
    }

    pub(crate) async fn next_acked(&mut self) -> String {
        let message = self.next().await;
        self.ack(&message).await;
        text(&message)
    }

    pub(crate) async fn ack(&mut self, message: &StreamMessage) {
        timeout(SOON, self.consumer.ack(message)).await.expect("an answer").expect("acked");
    }

    /// Receives and acks this many.
    pub(crate) async fn drain(&mut self, count: usize) -> Vec<String> {
        let mut texts = Vec::with_capacity(count);
        for _ in 0..count {
            texts.push(self.next_acked().await);
        }
        texts
    }

    /// Nothing comes for a while.
    pub(crate) async fn stays_quiet(&mut self) -> bool {
        timeout(QUIET, self.messages.recv()).await.is_err()
    }

    pub(crate) async fn close(mut self) {
        self.consumer.close().await;
    }
}

pub(crate) fn text(message: &StreamMessage) -> String {
    String::from_utf8(message.payload.to_vec()).expect("text")
}

/// A topic name that no other test and no other run uses.
pub(crate) fn topic(what: &str) -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let run = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_nanos();
    format!("/default/{what}-{run}-{}", NEXT.fetch_add(1, Ordering::Relaxed))
}

pub(crate) async fn send(producer: &Producer, payload: &str) {
    let sent = timeout(SOON, producer.send(payload.as_bytes().to_vec(), None)).await;
    sent.expect("an answer").expect("published");
}

pub(crate) async fn send_all(producer: &Producer, payloads: impl IntoIterator<Item = String>) {
    for payload in payloads {
        send(producer, &payload).await;
    }
}

async fn connect(url: &str) -> DanubeClient {
    DanubeClient::builder().service_url(url).build().await.expect("the client connects")
}
