//! A broker for a test, and a reader of subscriptions that never waits for ever.

use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use danube_core::{
    admin_proto::{
        GetSubscriptionFailurePolicyRequest, SubscriptionFailurePolicy, TopicRequest,
        topic_admin_client::TopicAdminClient,
    },
    proto::{ConsumerRequest, MsgId, NackRequest, consumer_service_client::ConsumerServiceClient},
};
use danube_devbroker::{Config, DevBroker, Oddities};
use danube_sidecar_broker::{
    BoxSubscription, Cluster, ClusterConfig, DetachReason, Marks, Outbound, ProducerSpec,
    PublishTrouble, Publisher, SubscriptionEvent, SubscriptionKind, SubscriptionSpec,
};
use danube_sidecar_core::record::Record;
use danube_sidecar_store::Store;
use futures::StreamExt;

/// Longer than anything here takes on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// The broker under test.
pub(crate) struct Broker {
    pub(crate) url: String,
    embedded: Option<DevBroker>,
}

impl Broker {
    /// The one named by DANUBE_SERVICE_URL, else an embedded one.
    pub(crate) async fn any() -> Self {
        Self::any_with(Config::for_tests()).await
    }

    /// The one named by DANUBE_SERVICE_URL, which has its oddities by nature, else an
    /// embedded one.
    pub(crate) async fn any_with(config: Config) -> Self {
        match std::env::var("DANUBE_SERVICE_URL") {
            Ok(url) => Self { url, embedded: None },
            Err(_) => Self::embed(config).await,
        }
    }

    /// An embedded one, for what a shared broker cannot be asked to do.
    pub(crate) async fn embedded(config: Config) -> Self {
        if std::env::var_os("DANUBE_SERVICE_URL").is_some() {
            println!("needs the embedded broker");
        }
        Self::embed(config).await
    }

    async fn embed(config: Config) -> Self {
        let embedded = DevBroker::start(config).await.unwrap();
        Self { url: embedded.url(), embedded: Some(embedded) }
    }

    pub(crate) async fn shutdown(self) {
        if let Some(embedded) = self.embedded {
            embedded.shutdown().await;
        }
    }

    pub(crate) async fn kill(self) {
        if let Some(embedded) = self.embedded {
            embedded.kill().await;
        }
    }

    pub(crate) fn admin_url(&self) -> Option<String> {
        match &self.embedded {
            Some(embedded) => embedded.admin_url(),
            None => std::env::var("DANUBE_ADMIN_URL").ok(),
        }
    }

    pub(crate) fn cluster(&self) -> Cluster {
        self.cluster_with(|_| {})
    }

    pub(crate) fn cluster_with(&self, change: impl FnOnce(&mut ClusterConfig)) -> Cluster {
        let embedded = self.embedded.is_some();
        cluster_at(&self.url, |config| {
            if embedded {
                // Its tick is 20 ms.
                config.drain_settle = Duration::from_millis(200);
            }
            change(config);
        })
    }
}

/// Says why a test does nothing.
pub(crate) fn needs_the_admin_api() {
    eprintln!("needs DANUBE_ADMIN_URL, the admin API of the broker at DANUBE_SERVICE_URL");
}

pub(crate) fn cluster_at(url: &str, change: impl FnOnce(&mut ClusterConfig)) -> Cluster {
    let mut config = ClusterConfig { service_url: url.to_owned(), ..Default::default() };
    change(&mut config);
    Cluster::new(config).unwrap()
}

/// A broker for a test, with an oddity.
pub(crate) fn odd(enable: impl FnOnce(&mut Oddities)) -> Config {
    let mut config = Config::for_tests();
    enable(&mut config.oddities);
    config
}

/// A topic that nobody else uses.
pub(crate) fn unique_topic() -> Arc<str> {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos();
    format!("/default/t{now}-{}", NEXT.fetch_add(1, Ordering::Relaxed)).into()
}

pub(crate) fn subscription(topic: &Arc<str>) -> SubscriptionSpec {
    SubscriptionSpec {
        topic: Arc::clone(topic),
        subscription: "sub".into(),
        kind: SubscriptionKind::Exclusive,
        consumer_name: "sidecar-0".to_owned(),
        key_filters: Vec::new(),
        create_topic: false,
        sole_consumer: true,
        marks: Marks::Room,
    }
}

pub(crate) fn producer(topic: &Arc<str>, partitions: u32) -> ProducerSpec {
    ProducerSpec {
        topic: Arc::clone(topic),
        partitions,
        reliable: true,
        producer_name: "shop".into(),
        schema_subject: None,
    }
}

pub(crate) fn message(payload: impl Into<String>) -> Outbound {
    Outbound {
        payload: payload.into().into(),
        key: None,
        partition_by: None,
        attributes: Vec::new(),
        schema: None,
    }
}

/// Creates the topic by creating its producers, which is what a first message does.
pub(crate) async fn create_topic(cluster: &Cluster, topic: &Arc<str>, partitions: u32) {
    let publisher = cluster.publisher(producer(topic, partitions));
    for _ in 0..partitions.max(1) {
        publish(&*publisher, message("creates the topic")).await;
    }
}

pub(crate) async fn publish(publisher: &dyn Publisher, message: Outbound) {
    tokio::time::timeout(PATIENCE, publisher.publish(message))
        .await
        .expect("the broker confirms in time")
        .unwrap();
}

/// Publishes the numbers of `range`, one after the other.
pub(crate) async fn publish_numbers(publisher: &dyn Publisher, range: std::ops::Range<u64>) {
    for number in range {
        publish(publisher, message(number.to_string())).await;
    }
}

/// Reads a subscription. What one wait passes over, the next one sees.
pub(crate) struct Reader {
    pub(crate) subscription: BoxSubscription,
    passed: VecDeque<SubscriptionEvent>,
}

impl Reader {
    pub(crate) fn new(cluster: &Cluster, spec: SubscriptionSpec, store: &Store) -> Self {
        Self { subscription: cluster.subscribe(spec, store.clone()), passed: VecDeque::new() }
    }

    /// Subscribed, on so many partitions.
    pub(crate) async fn attached(
        cluster: &Cluster,
        spec: SubscriptionSpec,
        store: &Store,
        partitions: usize,
    ) -> Self {
        let mut reader = Self::new(cluster, spec, store);
        for _ in 0..partitions {
            reader.wait_for(|event| matches!(event, SubscriptionEvent::Attached { .. })).await;
        }
        reader
    }

    pub(crate) async fn read(&mut self) -> SubscriptionEvent {
        tokio::time::timeout(PATIENCE, self.subscription.next())
            .await
            .expect("an event comes in time")
            .expect("the stream does not end")
    }

    /// Reads on until `wanted`; the rest stays for later waits.
    pub(crate) async fn wait_for(
        &mut self,
        wanted: impl Fn(&SubscriptionEvent) -> bool,
    ) -> SubscriptionEvent {
        if let Some(at) = self.passed.iter().position(&wanted) {
            return self.passed.remove(at).unwrap();
        }
        let reading = async {
            loop {
                let event = self.read().await;
                if wanted(&event) {
                    return event;
                }
                self.passed.push_back(event);
            }
        };
        tokio::time::timeout(PATIENCE, reading).await.expect("what is waited for comes in time")
    }

    /// How many such events come within `span`.
    pub(crate) async fn count_during(
        &mut self,
        span: Duration,
        wanted: impl Fn(&SubscriptionEvent) -> bool,
    ) -> usize {
        let counting = async {
            loop {
                let event = self.read().await;
                self.passed.push_back(event);
            }
        };
        // The time is what the test is about, so it is waited for.
        let _ = tokio::time::timeout(span, counting).await;
        let count = self.passed.iter().filter(|event| wanted(event)).count();
        self.passed.retain(|event| !wanted(event));
        count
    }

    pub(crate) async fn record(&mut self) -> Record {
        let delivered =
            |event: &SubscriptionEvent| matches!(event, SubscriptionEvent::Delivered(_));
        let SubscriptionEvent::Delivered(record) = self.wait_for(delivered).await else {
            unreachable!("only deliveries are wanted")
        };
        Arc::unwrap_or_clone(record)
    }

    pub(crate) async fn records(&mut self, count: usize) -> Vec<Record> {
        let mut records = Vec::with_capacity(count);
        while records.len() < count {
            records.push(self.record().await);
        }
        records
    }

    pub(crate) async fn drained(&mut self) {
        self.wait_for(|event| matches!(event, SubscriptionEvent::Drained { .. })).await;
    }

    /// Why the next detach came.
    pub(crate) async fn detached(&mut self) -> DetachReason {
        let detached =
            |event: &SubscriptionEvent| matches!(event, SubscriptionEvent::Detached { .. });
        let SubscriptionEvent::Detached { reason, .. } = self.wait_for(detached).await else {
            unreachable!("only detaches are wanted")
        };
        reason
    }

    pub(crate) fn ack(&mut self, record: &Record) {
        let identity = &record.identity;
        self.subscription.ack(&identity.partition, identity.offset);
    }

    /// Whether `unwanted` was among what earlier waits passed over.
    pub(crate) fn passed(&self, unwanted: impl Fn(&SubscriptionEvent) -> bool) -> bool {
        self.passed.iter().any(unwanted)
    }

    /// Forgets what earlier waits passed over.
    pub(crate) fn forget_passed(&mut self) {
        self.passed.clear();
    }

    /// Has the outstanding acks answered, and ends.
    pub(crate) async fn close(self) {
        let subscription = std::pin::Pin::into_inner(self.subscription);
        tokio::time::timeout(PATIENCE, subscription.close()).await.expect("it closes in time");
    }
}

pub(crate) fn payload(record: &Record) -> &str {
    std::str::from_utf8(&record.payload).unwrap()
}

/// What a sidecar leaves behind that dies between Subscribe and ReceiveMessages.
pub(crate) async fn register_only(broker: &Broker, topic: &str) -> u64 {
    let mut consumer = ConsumerServiceClient::connect(broker.url.clone()).await.unwrap();
    let request = ConsumerRequest {
        topic_name: topic.to_owned(),
        consumer_name: "sidecar-0".to_owned(),
        subscription: "sub".to_owned(),
        ..Default::default()
    };
    consumer.subscribe(request).await.unwrap().into_inner().consumer_id
}

/// Nacks a message behind the back of its consumer.
pub(crate) async fn nack(broker: &Broker, topic: &str, offset: u64) {
    let mut consumer = ConsumerServiceClient::connect(broker.url.clone()).await.unwrap();
    let id = MsgId { topic_name: topic.to_owned(), topic_offset: offset, ..MsgId::default() };
    let request = NackRequest {
        msg_id: Some(id),
        subscription_name: "sub".to_owned(),
        ..NackRequest::default()
    };
    consumer.nack(request).await.unwrap();
}

pub(crate) async fn failure_policy(
    admin_url: &str,
    topic: &str,
    subscription: &str,
) -> SubscriptionFailurePolicy {
    let mut admin = TopicAdminClient::connect(admin_url.to_owned()).await.unwrap();
    let request = GetSubscriptionFailurePolicyRequest {
        topic: topic.to_owned(),
        subscription: subscription.to_owned(),
    };
    let answer = admin.get_subscription_failure_policy(request).await.unwrap();
    answer.into_inner().failure_policy.expect("the subscription has a policy")
}

/// What the publisher waits for.
pub(crate) async fn trouble_of(publisher: &dyn Publisher) -> PublishTrouble {
    let told = async {
        loop {
            if let Some(trouble) = publisher.trouble() {
                return trouble;
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, told).await.expect("the trouble is told")
}

pub(crate) async fn delete_topic(admin_url: &str, topic: &str) {
    let mut admin = TopicAdminClient::connect(admin_url.to_owned()).await.unwrap();
    admin.delete_topic(TopicRequest { name: topic.to_owned() }).await.unwrap();
}
