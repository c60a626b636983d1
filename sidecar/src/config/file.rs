//! The configuration file as it is written: one TOML file, the guide's shape.
//!
//! Every table refuses keys that it does not know. Root tables that are not the
//! sidecar's belong to the connector and are handed to it.

use std::{collections::BTreeMap, fmt, net::SocketAddr, path::PathBuf};

use serde::{Deserialize, Deserializer, de};
use toml::Spanned;

use super::values::{ByteSize, Span, TopicName};
use crate::bounds::{ConnectorName, ConsumerName, KeyFilter, SchemaSubject, SubscriptionName};

/// Root keys that are the sidecar's own.
pub(super) const ROOT_KEYS: [&str; 15] = [
    "danube_service_url",
    "connector_name",
    "retry",
    "processing",
    "sidecar",
    "danube",
    "subscriptions",
    "producers",
    "dead_letter",
    "inbox",
    "checkpoints",
    "policy",
    "connectors",
    "adopt",
    "stranded",
];

/// Root keys that are kept for the sidecar: a connector cannot have them.
pub(super) const RESERVED_KEYS: [&str; 1] = ["schemas"];

/// The whole file.
#[derive(Debug, Default)]
pub(super) struct File {
    pub(super) danube_service_url: Option<String>,
    pub(super) connector_name: Option<String>,
    pub(super) sidecar: Sidecar,
    pub(super) danube: Danube,
    pub(super) policy: Policy,
    pub(super) checkpoints: Checkpoints,
    /// The tables of the connector that the root describes.
    pub(super) root: Connector,
    /// What becomes of what is left under other names.
    pub(super) stranded: BTreeMap<ConnectorName, Fate>,
    /// `[connectors.<name>]`.
    pub(super) connectors: BTreeMap<ConnectorName, Connector>,
    /// Root keys that are not ours, in the order of the file.
    pub(super) others: Vec<(Spanned<String>, toml::Value)>,
}

impl<'de> Deserialize<'de> for File {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(FileVisitor)
    }
}

struct FileVisitor;

impl<'de> de::Visitor<'de> for FileVisitor {
    type Value = File;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a configuration file")
    }

    fn visit_map<A: de::MapAccess<'de>>(self, mut map: A) -> Result<File, A::Error> {
        let mut file = File::default();
        while let Some(key) = map.next_key::<Spanned<String>>()? {
            match key.get_ref().as_str() {
                "danube_service_url" => file.danube_service_url = Some(map.next_value()?),
                "connector_name" => file.connector_name = Some(map.next_value()?),
                "sidecar" => file.sidecar = map.next_value()?,
                "danube" => file.danube = map.next_value()?,
                "policy" => file.policy = map.next_value()?,
                "checkpoints" => file.checkpoints = map.next_value()?,
                "connectors" => file.connectors = map.next_value()?,
                "retry" => file.root.retry = map.next_value()?,
                "processing" => file.root.processing = map.next_value()?,
                "subscriptions" => file.root.subscriptions = map.next_value()?,
                "producers" => file.root.producers = map.next_value()?,
                "dead_letter" => file.root.dead_letter = map.next_value()?,
                "inbox" => file.root.inbox = map.next_value()?,
                "adopt" => file.root.adopt = Some(map.next_value()?),
                "stranded" => file.stranded = map.next_value()?,
                _ => file.others.push((key, map.next_value()?)),
            }
        }
        Ok(file)
    }
}

/// The tables of one connector.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Connector {
    pub(super) retry: Retry,
    pub(super) processing: Processing,
    pub(super) subscriptions: Vec<Subscription>,
    pub(super) producers: Vec<Producer>,
    pub(super) dead_letter: DeadLetter,
    pub(super) inbox: Inbox,
    /// Whose estate it takes over.
    pub(super) adopt: Option<ConnectorName>,
    pub(super) settings: toml::Table,
}

/// What becomes of what the data directory holds under a name that is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fate {
    /// Its records are delivered to a connector that opens with this name.
    Drain,
    /// It is deleted.
    Discard,
}

/// `[sidecar]`: the process itself.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Sidecar {
    pub(super) listen: Option<SocketAddr>,
    pub(super) unix_socket: Option<PathBuf>,
    pub(super) http_listen: Option<SocketAddr>,
    pub(super) data_dir: Option<PathBuf>,
    pub(super) token_file: Option<PathBuf>,
    pub(super) allow_insecure_listen: bool,
    pub(super) allowed_hosts: Vec<String>,
    pub(super) allow_unconfigured: Option<bool>,
    pub(super) shutdown_timeout: Option<Span>,
    pub(super) max_buffer_bytes: Option<ByteSize>,
    pub(super) replica: Option<u32>,
    pub(super) replicas: Option<u32>,
    pub(super) log_level: Option<String>,
    pub(super) log_format: Option<LogFormat>,
}

/// How logs are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// One line of text for people.
    #[default]
    Text,
    /// One JSON object a line for machines.
    Json,
}

/// `[danube]`: how to reach the cluster.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Danube {
    pub(super) admin_url: Option<String>,
    pub(super) ca_file: Option<PathBuf>,
    pub(super) cert_file: Option<PathBuf>,
    pub(super) key_file: Option<PathBuf>,
    pub(super) token_file: Option<PathBuf>,
    pub(super) ack_timeout: Option<Span>,
    pub(super) max_unacked_messages: Option<usize>,
    pub(super) connect_timeout: Option<Span>,
    pub(super) rpc_timeout: Option<Span>,
    pub(super) create_topics: bool,
}

/// `[checkpoints]`: where the positions of sources live.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Checkpoints {
    pub(super) url: Option<String>,
    /// Text, numbers or booleans; what is valid depends on the url.
    pub(super) options: toml::Table,
}

/// `[inbox]`: records on disk between Danube and the workers. The root's values
/// hold for connectors that say nothing of their own.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Inbox {
    pub(super) enabled: Option<bool>,
    pub(super) fsync: Option<bool>,
    pub(super) max_bytes: Option<ByteSize>,
    pub(super) retain: Option<Span>,
}

/// `[policy]`: what connectors may ask for.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Policy {
    pub(super) allowed_topics: Option<Vec<String>>,
    pub(super) allow_lossy_subscription: bool,
    pub(super) allow_shared: bool,
}

/// `[retry]`: the guide's keys.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Retry {
    pub(super) max_retries: Option<u32>,
    pub(super) retry_backoff_ms: Option<u64>,
    pub(super) max_backoff_ms: Option<u64>,
    pub(super) max_age: Option<Span>,
    pub(super) on_exhausted: Option<OnExhausted>,
}

/// What happens to a record whose retries are exhausted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnExhausted {
    /// To the dead-letter topic.
    #[default]
    DeadLetter,
    /// Logged, counted, and passed over.
    Skip,
    /// Its lane waits for the operator.
    Suspend,
}

/// `[processing]`: the guide's keys, and how records are handed to workers. The
/// poll interval, the metrics port and the log level are the connector's; they are
/// accepted here because one file serves both.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[allow(dead_code, reason = "keys that only the connector's side reads")]
pub(super) struct Processing {
    pub(super) batch_size: Option<usize>,
    pub(super) batch_timeout_ms: Option<u64>,
    pub(super) poll_interval_ms: Option<u64>,
    pub(super) metrics_port: Option<u16>,
    pub(super) log_level: Option<String>,
    pub(super) ordering: Option<Ordering>,
    pub(super) window_records: Option<usize>,
    pub(super) window_bytes: Option<ByteSize>,
    pub(super) batch_bytes: Option<ByteSize>,
    pub(super) result_timeout: Option<Span>,
}

/// Which records wait for each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ordering {
    /// Records of one routing key.
    Key,
    /// Records of one partition.
    Partition,
    /// None.
    None,
}

/// `[[subscriptions]]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Subscription {
    pub(super) topic: TopicName,
    pub(super) subscription: Option<SubscriptionName>,
    #[serde(rename = "type", default)]
    pub(super) kind: SubscriptionKind,
    pub(super) consumer_name: Option<ConsumerName>,
    #[serde(default)]
    pub(super) key_filters: Vec<KeyFilter>,
}

/// Danube's subscription types.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SubscriptionKind {
    /// One consumer.
    #[default]
    #[serde(alias = "Exclusive")]
    Exclusive,
    /// Several consumers share the messages.
    #[serde(alias = "Shared")]
    Shared,
    /// One active consumer.
    #[serde(alias = "FailOver", alias = "Failover", alias = "fail_over")]
    Failover,
    /// Keys are spread over consumers.
    #[serde(alias = "KeyShared")]
    KeyShared,
}

/// `[[producers]]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Producer {
    pub(super) topic: TopicName,
    #[serde(default)]
    pub(super) partitions: u32,
    #[serde(default = "yes", alias = "reliable_dispatch")]
    pub(super) reliable: bool,
    #[serde(default)]
    pub(super) schema_subject: Option<SchemaSubject>,
}

/// `[dead_letter]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct DeadLetter {
    pub(super) enabled: bool,
    pub(super) topic: Option<TopicName>,
    pub(super) on_reject: OnReject,
    pub(super) max_bytes: Option<ByteSize>,
    pub(super) max_age: Option<Span>,
}

/// What happens to a source record that can never be published.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnReject {
    /// To the dead-letter topic; its position commits after that.
    #[default]
    DeadLetter,
    /// The session ends with an error.
    Fail,
}

impl Default for DeadLetter {
    fn default() -> Self {
        Self {
            enabled: true,
            topic: None,
            on_reject: OnReject::default(),
            max_bytes: None,
            max_age: None,
        }
    }
}

fn yes() -> bool {
    true
}
