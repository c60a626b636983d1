//! The configuration: what the operator's file, the environment and the command
//! line say, resolved into types that the rest of the program can trust.

mod doors;
mod error;
mod file;
mod load;
mod own;
mod replica;
mod storage;
mod stranded;
mod values;

use std::{
    collections::BTreeMap,
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
    time::Duration,
};

use danube_sidecar_broker::Replica;
use danube_sidecar_store::ObjectLocation;

pub use error::ConfigError;
pub use file::{Fate, LogFormat, OnExhausted, OnReject, Ordering, SubscriptionKind};
pub use load::{Environment, Overrides, load};
pub use storage::{DeadLetters, Inbox};
pub use values::{ByteSize, Span, TopicName};

/// Where connectors dial by default.
pub const DEFAULT_LISTEN: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 6670);
/// Where health, metrics and status are served by default.
pub const DEFAULT_HTTP_LISTEN: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 6671);

/// Everything that a running sidecar needs to know.
#[derive(Clone, Debug)]
pub struct Config {
    /// The process itself.
    pub sidecar: Sidecar,
    /// How to reach the cluster.
    pub danube: Danube,
    /// What connectors may ask for.
    pub policy: Policy,
    /// Where the positions of sources live; none: in the store of `data_dir`.
    pub checkpoints: Option<ObjectLocation>,
    /// Connectors that the file names.
    pub connectors: BTreeMap<String, Connector>,
    /// What holds for connectors that it does not name.
    pub defaults: Connector,
    /// What becomes of what is left under other names.
    pub stranded: BTreeMap<String, Fate>,
}

/// The process itself.
#[derive(Clone, Debug)]
pub struct Sidecar {
    /// TCP address of the gRPC server.
    pub listen: SocketAddr,
    /// Unix socket of the gRPC server, besides TCP.
    pub unix_socket: Option<PathBuf>,
    /// TCP address for health, metrics and status.
    pub http_listen: SocketAddr,
    /// Where positions, epochs and consumer ids live; none: in memory.
    pub data_dir: Option<PathBuf>,
    /// File with the token that connectors must present; none: no token.
    pub token_file: Option<PathBuf>,
    /// Whether other machines may dial a sidecar without a token.
    pub allow_insecure_listen: bool,
    /// Names that callers may use besides addresses and `localhost`.
    pub allowed_hosts: Vec<String>,
    /// Whether connectors that the file does not name may connect.
    pub allow_unconfigured: bool,
    /// Upper bound of a shutdown.
    pub shutdown_timeout: Duration,
    /// Most bytes of records in memory that are not at a worker, all partitions
    /// together.
    pub max_buffer_bytes: usize,
    /// Which one of several sidecars with the same connectors this is; none: the only
    /// one.
    pub replica: Option<Replica>,
    /// A tracing filter: `info`, `debug`, `danube_sidecar=debug`.
    pub log_level: String,
    /// How logs are written.
    pub log_format: LogFormat,
}

/// How to reach the cluster.
#[derive(Clone, Debug)]
pub struct Danube {
    /// Any broker of the cluster.
    pub service_url: String,
    /// The admin API of the cluster.
    pub admin_url: Option<String>,
    /// TLS, where it is used.
    pub tls: Option<Tls>,
    /// File with the JWT to present, read anew when it changes.
    pub token_file: Option<PathBuf>,
    /// The broker's ack timeout.
    pub ack_timeout: Duration,
    /// The broker's window: un-acked messages that it allows a subscription.
    pub max_unacked_messages: usize,
    /// Bound of a connection attempt.
    pub connect_timeout: Duration,
    /// Bound of a call.
    pub rpc_timeout: Duration,
    /// Whether missing topics of subscriptions are created.
    pub create_topics: bool,
}

/// TLS to the cluster.
#[derive(Clone, Debug)]
pub struct Tls {
    /// Certificates of the authorities to trust, PEM.
    pub ca_file: PathBuf,
    /// The sidecar's own certificate and key, PEM.
    pub client: Option<(PathBuf, PathBuf)>,
}

impl Config {
    /// What holds for the connector of this name; none where the file does not
    /// name it and strangers are not allowed.
    pub fn connector(&self, name: &str) -> Option<Connector> {
        if let Some(connector) = self.connectors.get(name) {
            return Some(connector.clone());
        }
        let named = || Connector { name: name.to_owned(), ..self.defaults.clone() };
        self.sidecar.allow_unconfigured.then(named)
    }
}

impl Connector {
    /// Where records go that cannot be written; none: dead letters are off.
    pub fn dead_letter_topic(&self) -> Option<String> {
        let topic = self.dead_letters.topic.clone();
        // Names of connectors may have what Danube takes in no topic.
        let topic =
            topic.unwrap_or_else(|| format!("/default/dlq-{}", self.name.replace('.', "-dot-")));
        self.dead_letters.enabled.then_some(topic)
    }
}

/// What connectors may ask for.
#[derive(Clone, Debug, Default)]
pub struct Policy {
    /// Topics that connectors may name; none: all. A trailing `*` matches any rest.
    pub allowed_topics: Option<Vec<String>>,
    /// Whether subscription types that lose messages on Danube 0.15 are served.
    pub allow_lossy_subscription: bool,
    /// Whether several sidecars may share one subscription.
    pub shared: Shared,
}

/// Whether one Shared subscription may have several sidecars. Danube hands what one of
/// them renews to another, so only an inbox makes that safe, and order per key is lost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Shared {
    /// There is only this sidecar.
    #[default]
    Alone,
    /// There are others, and the operator has not allowed it.
    Refused,
    /// There are others, and the operator has allowed it.
    Allowed,
}

impl Policy {
    /// Whether a connector may use this topic.
    pub fn allows(&self, topic: &str) -> bool {
        let Some(patterns) = &self.allowed_topics else { return true };
        patterns.iter().any(|pattern| match pattern.strip_suffix('*') {
            Some(prefix) => topic.starts_with(prefix),
            None => topic == pattern,
        })
    }
}

/// What the file says about one connector. `None` leaves it to the connector's
/// `open` frame, and then to the default.
#[derive(Clone, Debug, Default)]
pub struct Connector {
    /// The connector's name.
    pub name: String,
    /// `[retry]`.
    pub retry: Retry,
    /// `[processing]`.
    pub delivery: Delivery,
    /// `[[subscriptions]]`; empty: the connector names them.
    pub subscriptions: Vec<Subscription>,
    /// `[[producers]]`; empty: the connector names them.
    pub producers: Vec<Producer>,
    /// `[dead_letter]`.
    pub dead_letters: DeadLetters,
    /// `[inbox]`.
    pub inbox: Inbox,
    /// Whose records, positions and dead letters it takes over.
    pub adopt: Option<String>,
    /// The connector's own settings.
    pub settings: Settings,
}

/// A connector's own settings.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// One JSON object.
    pub json: serde_json::Map<String, serde_json::Value>,
    /// Whether a value came from `${VAR}`, so may be a secret.
    pub from_environment: bool,
}

/// How failed records are retried.
#[derive(Clone, Debug, Default)]
pub struct Retry {
    /// Failed attempts after the first one.
    pub max_retries: Option<u32>,
    /// Backoff before the first retry.
    pub initial_backoff: Option<Duration>,
    /// Upper bound of the backoff.
    pub max_backoff: Option<Duration>,
    /// After this long every attempt counts; none: after a day, or ten minutes where nothing
    /// else is there to be tried.
    pub max_age: Option<Duration>,
    /// What follows when they are used up.
    pub on_exhausted: OnExhausted,
}

/// How records are handed to workers.
#[derive(Clone, Debug, Default)]
pub struct Delivery {
    /// Most records of a batch.
    pub batch_records: Option<usize>,
    /// Most bytes of a batch.
    pub batch_bytes: Option<usize>,
    /// How long a batch that is not full may wait.
    pub linger: Option<Duration>,
    /// Which records wait for each other.
    pub ordering: Option<Ordering>,
    /// Most unresolved records of a worker.
    pub window_records: Option<usize>,
    /// Most unresolved bytes of a worker.
    pub window_bytes: Option<usize>,
    /// How long a worker may take over a record; zero: for ever.
    pub result_timeout: Option<Duration>,
}

/// A subscription.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subscription {
    /// The topic, all its partitions.
    pub topic: TopicName,
    /// Name of the subscription.
    pub subscription: String,
    /// Its type.
    pub kind: SubscriptionKind,
    /// Name of the consumer.
    pub consumer_name: String,
    /// Glob patterns of routing keys; `KeyShared` only.
    pub key_filters: Vec<String>,
}

/// A topic to publish to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Producer {
    /// The topic.
    pub topic: TopicName,
    /// Partitions; zero: a topic without partitions.
    pub partitions: u32,
    /// Whether Danube keeps messages until they are acked.
    pub reliable: bool,
    /// Subject of the schema that messages carry.
    pub schema_subject: Option<String>,
}
