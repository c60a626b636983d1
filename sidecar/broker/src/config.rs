//! How to reach a cluster, and what to do with a topic there.

use std::{path::PathBuf, sync::Arc, time::Duration};

use crate::replica::Replica;

/// How to reach a Danube cluster.
#[derive(Clone, Debug)]
pub struct ClusterConfig {
    /// Where discovery begins, e.g. `http://127.0.0.1:6650`.
    pub service_url: String,
    /// The admin API, e.g. `http://127.0.0.1:50051`. With it a generous failure
    /// policy is set before a subscription's first use, and the broker's real ack
    /// timeout is known.
    pub admin_url: Option<String>,
    /// Certificates, where the cluster uses TLS.
    pub tls: Option<Tls>,
    /// A file holding the token (JWT) to present. It may be replaced at any time;
    /// needs an `https` url.
    pub token_file: Option<PathBuf>,
    /// Longest time for a connection to be made. Default 5 s.
    pub connect_timeout: Duration,
    /// Longest time for any call to be answered. Default 10 s.
    pub rpc_timeout: Duration,
    /// The broker's ack timeout, where the admin API does not tell. Default 30 s.
    pub ack_timeout: Duration,
    /// Un-acked messages that the broker allows a subscription. Default 10.
    pub broker_window: usize,
    /// How often new partitions are looked for. Default 30 s.
    pub discovery_interval: Duration,
    /// How long an attach is given, at least, to repeat what is un-acked: the
    /// broker does so at its next tick (500 ms). Default 1.5 s; less where the ack
    /// timeout is below 4 s.
    pub drain_settle: Duration,
    /// How long a partition may be silent before its stream is opened anew, in case
    /// it is dead. Default 5 min.
    pub idle_renewal: Duration,
    /// Which one of several sidecars with the same connectors this is; none: the only
    /// one. It takes its own partitions of a topic; all of a Shared subscription, whose
    /// messages the broker spreads over the sidecars.
    pub replica: Option<Replica>,
}

impl Default for ClusterConfig {
    fn default() -> Self {
        Self {
            service_url: "http://127.0.0.1:6650".to_owned(),
            admin_url: None,
            tls: None,
            token_file: None,
            connect_timeout: Duration::from_secs(5),
            rpc_timeout: Duration::from_secs(10),
            ack_timeout: Duration::from_secs(30),
            broker_window: 10,
            discovery_interval: Duration::from_secs(30),
            drain_settle: Duration::from_millis(1500),
            idle_renewal: Duration::from_secs(5 * 60),
            replica: None,
        }
    }
}

/// PEM files for TLS.
#[derive(Clone, Debug)]
pub struct Tls {
    /// Certificates of the authorities that the brokers' certificates come from.
    pub ca: PathBuf,
    /// Our certificate and its key, where the cluster asks for one.
    pub client: Option<ClientCertificate>,
}

/// What proves who we are.
#[derive(Clone, Debug)]
pub struct ClientCertificate {
    /// The certificate chain.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

/// How the consumers of a subscription share its records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SubscriptionKind {
    /// One consumer gets all.
    Exclusive,
    /// Records are spread over the consumers.
    Shared,
    /// One consumer gets all, the others wait; Danube 0.15 does not fail over.
    Failover,
    /// Records of one key go to one consumer; Danube 0.15 loses redeliveries.
    KeyShared,
}

/// A subscription to run.
#[derive(Clone, Debug)]
pub struct SubscriptionSpec {
    /// The topic (`/default/orders`), or one partition of it.
    pub topic: Arc<str>,
    /// The subscription's name.
    pub subscription: Arc<str>,
    /// How its consumers share.
    pub kind: SubscriptionKind,
    /// This consumer's name: stable across restarts and unique among the
    /// subscription's consumers.
    pub consumer_name: String,
    /// Key patterns; `KeyShared` only.
    pub key_filters: Vec<String>,
    /// Create the topic (reliable, not partitioned) instead of waiting for it.
    pub create_topic: bool,
    /// No other consumer takes part, so that a hole in the offsets is a loss. MUST
    /// be false where several consumers share the subscription.
    pub sole_consumer: bool,
    /// Who keeps in the store how far each partition was seen.
    pub marks: Marks,
}

impl SubscriptionSpec {
    /// Whether the broker spreads messages over several consumers.
    pub(crate) fn is_shared(&self) -> bool {
        self.kind == SubscriptionKind::Shared
    }
}

/// Who keeps a partition's contiguous offset in the store, below which nothing is
/// told as a gap after a restart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Marks {
    /// The subscription itself, with an upper bound that acks wait for: a gap that
    /// opened while the sidecar was dead may stay unseen.
    #[default]
    Room,
    /// The caller, in one commit with the records it appends: gaps are exact. The
    /// subscription reads the offset at start and acks wait for nothing.
    Caller,
}

/// A topic to publish to.
#[derive(Clone, Debug)]
pub struct ProducerSpec {
    /// The topic (`/default/orders`); created with the first message where missing.
    pub topic: Arc<str>,
    /// How many partitions it has; 0 means that it is not partitioned.
    pub partitions: u32,
    /// Stored and redelivered until acked, or sent at most once.
    pub reliable: bool,
    /// The producer's name: stable, because Danube never forgets one.
    pub producer_name: Arc<str>,
    /// The subject in the schema registry that the messages follow.
    pub schema_subject: Option<String>,
}

impl ProducerSpec {
    /// The topics that are published to, in the order of their numbers.
    pub(crate) fn partition_topics(&self) -> Vec<Arc<str>> {
        if self.partitions == 0 {
            return vec![Arc::clone(&self.topic)];
        }
        (0..self.partitions).map(|n| format!("{}-part-{n}", self.topic).into()).collect()
    }
}
