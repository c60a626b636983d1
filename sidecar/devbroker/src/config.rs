//! What the broker is started with.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use serde::{Deserialize, Serialize};

use crate::oddities::Oddities;

/// What the broker is started with. The defaults are Danube's.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where clients connect; port 0 takes a free one. Default 127.0.0.1:6650.
    pub listen: SocketAddr,
    /// Where the admin API is served; none leaves it out. Default 127.0.0.1:50051.
    pub admin_listen: Option<SocketAddr>,
    /// What lookups tell clients to connect to, like `http://broker:6650`.
    /// Default: the address by which the asking client reached the broker.
    pub advertise: Option<String>,
    /// Where messages, cursors and schemas are kept. Default: nowhere, they live
    /// in memory and end with the broker.
    pub data_dir: Option<PathBuf>,
    /// Note in the data directory what is confirmed and what is passed over, and keep
    /// there what everybody has acked, so that nothing is lost unseen: see
    /// [`crate::inspect`]. The directory only grows. Default no.
    pub audit: bool,
    /// How many messages of a subscription may be un-acked at its consumers, 1 to
    /// 10000. Default 10.
    pub max_unacked_messages: usize,
    /// How long a consumer may hold a message before it is delivered again.
    /// Default 30 s.
    pub ack_timeout: Duration,
    /// What happens to messages that consumers fail on, for subscriptions whose
    /// policy was not set through the admin API.
    pub failure_policy: FailurePolicy,
    /// How many bytes of un-acked payload a topic keeps; publishes beyond it are
    /// answered RESOURCE_EXHAUSTED. Default 256 MiB.
    pub max_backlog_bytes: usize,
    /// Take topics of namespaces that nobody has created. Danube does not. Default no.
    pub any_namespace: bool,
    /// The oddities of a real broker to play. Default none.
    pub oddities: Oddities,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 6650)),
            admin_listen: Some(SocketAddr::from(([127, 0, 0, 1], 50051))),
            advertise: None,
            data_dir: None,
            audit: false,
            max_unacked_messages: 10,
            ack_timeout: Duration::from_secs(30),
            failure_policy: FailurePolicy::default(),
            max_backlog_bytes: 256 * 1024 * 1024,
            any_namespace: false,
            oddities: Oddities::default(),
        }
    }
}

impl Config {
    /// A broker for a test: memory only, free ports on loopback, admin API served.
    pub fn for_tests() -> Self {
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        Self { listen: any, admin_listen: Some(any), ..Self::default() }
    }
}

/// What happens to messages that consumers fail on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailurePolicy {
    /// How often a message is delivered again after an ack timeout or a nack.
    /// Default 5.
    pub max_redeliveries: u32,
    /// The wait before the first redelivery; a nack may ask for more. Default 1 s.
    pub base_delay: Duration,
    /// The longest wait. Default 60 s.
    pub max_delay: Duration,
    /// How the wait grows. Default exponential.
    pub backoff: Backoff,
    /// What happens when the redeliveries are used up. Default block.
    pub poison: Poison,
}

impl Default for FailurePolicy {
    fn default() -> Self {
        Self {
            max_redeliveries: 5,
            base_delay: Duration::from_secs(1),
            max_delay: Duration::from_secs(60),
            backoff: Backoff::Exponential,
            poison: Poison::Block,
        }
    }
}

/// How the wait before a redelivery grows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Backoff {
    /// Always the base delay.
    Fixed,
    /// Doubles with each delivery.
    Exponential,
}

/// What happens to a message whose redeliveries are used up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Poison {
    /// It is published to this topic, with `x-…` attributes, and counts as acked.
    DeadLetter {
        /// The dead-letter topic; made, reliable, when it does not exist.
        topic: String,
    },
    /// Nothing new is delivered until it is acked or a consumer attaches anew.
    Block,
    /// It counts as acked.
    Drop,
}
