//! Danube behind two small traits.
//!
//! [`Subscription`] delivers the records of all partitions of a topic and takes
//! acks; [`Publisher`] publishes and confirms. Everything about a real Danube
//! cluster (lookup, redirects, supervision, renewal, ack order, backoff) stays
//! behind them.

mod acks;
mod admin;
mod attachment;
mod backoff;
mod cluster;
mod codec;
mod config;
mod consumer;
mod delivery;
mod drain;
mod error;
mod gaps;
mod hash;
mod lookup;
mod mark;
mod partition;
mod probe;
mod producer;
mod publisher;
mod queue;
mod reorder;
mod replica;
mod schema;
mod silence;
mod subscribe;
mod subscription;
mod token;

use std::{pin::Pin, sync::Arc};

use bytes::Bytes;
use danube_sidecar_core::record::{Record, SchemaRef};
use futures::{Stream, future::BoxFuture};

pub use cluster::{BrokerHealth, Cluster};
pub use config::{
    ClientCertificate, ClusterConfig, Marks, ProducerSpec, SubscriptionKind, SubscriptionSpec, Tls,
};
pub use error::{CallError, ClusterError};
pub use replica::Replica;
pub use schema::SchemaInfo;

/// A running subscription: a stream of [`SubscriptionEvent`]s over all
/// partitions of one topic.
///
/// It never ends by itself: trouble is retried with backoff and told in events.
/// The stream MUST be read all the time (holding records back is the reader's
/// business): a Danube consumer that is not read blocks its topic.
pub trait Subscription: Stream<Item = SubscriptionEvent> + Send + Unpin {
    /// The record is resolved, so the broker may forget it. Never blocks; the
    /// ack is sent as soon as the ack order allows, and again until the broker
    /// answers it or delivers the record anew.
    ///
    /// Only what was delivered since the partition's last `Attached` is acked,
    /// anything else is passed over: it comes again, and MUST be acked again then.
    /// The caller MUST NOT ack an offset for a record whose identity is not the
    /// one last delivered there (offsets repeat after a broker's crash).
    fn ack(&mut self, partition: &Arc<str>, offset: u64);

    /// Closes the streams, so that no clock runs at the broker: what is un-acked can
    /// wait for any time without using up a redelivery. Never blocks.
    ///
    /// Acks given before are still sent, for a second at most; later ones are not.
    /// Each attached partition ends with `Detached { reason: Asked }`, and nothing
    /// comes until [`Subscription::attach`]. A partition that is not known to the
    /// broker yet is still attached for a moment, because a subscription begins with
    /// its first attach.
    fn detach(&mut self);

    /// Opens the streams again: what is un-acked comes once more. Never blocks. A
    /// subscription starts attached. When it follows a detach at once, the streams
    /// may stay open and no event tell of it.
    fn attach(&mut self);

    /// Stops taking new records, has the outstanding acks answered, and ends.
    /// The caller bounds the time by dropping the future.
    fn close(self: Box<Self>) -> BoxFuture<'static, ()>;
}

/// What happens on a subscription.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SubscriptionEvent {
    /// A partition's stream is open (again): what is un-acked comes once more.
    Attached {
        /// The partition's own topic.
        partition: Arc<str>,
    },
    /// A message, new or repeated.
    Delivered(Arc<Record>),
    /// What an attach repeats has come; from here on messages are new.
    Drained {
        /// The partition's own topic.
        partition: Arc<str>,
    },
    /// A partition's stream ended; it is attached again by itself.
    Detached {
        /// The partition's own topic.
        partition: Arc<str>,
        /// Why.
        reason: DetachReason,
    },
    /// The broker passed over messages: offsets `first..=last` did not come.
    Gap {
        /// The partition's own topic.
        partition: Arc<str>,
        /// First missing offset.
        first: u64,
        /// Last missing offset.
        last: u64,
    },
    /// A message came after all that was told as passed over: it was overtaken by others
    /// for very long.
    GapFilled {
        /// The partition's own topic.
        partition: Arc<str>,
        /// Its offset.
        offset: u64,
    },
    /// The subscription cannot start or go on for now; retried with backoff.
    Trouble(Trouble),
}

/// Why a partition's stream ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DetachReason {
    /// The sidecar renews it, so that the broker's ack timeout does not pass.
    Renewal,
    /// The broker closed it or went away.
    BrokerGone,
    /// Another consumer of the same name took it over.
    TakenOver,
    /// The broker asked for it, or forgot the consumer.
    Resubscribe,
    /// Nothing came although there should be something; attached again at once.
    Silent,
    /// The subscription was told to detach, see [`Subscription::detach`].
    Asked,
}

/// What keeps a subscription from running.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// No broker answers at the service url.
    BrokerAway {
        /// What was tried and how it failed.
        detail: String,
    },
    /// The topic does not exist yet.
    TopicMissing {
        /// The topic as configured.
        topic: Arc<str>,
    },
    /// The topic's namespace does not exist, so that it cannot be created.
    NoNamespace {
        /// The topic as configured.
        topic: Arc<str>,
    },
    /// The broker refuses the subscription (another consumer name holds it, no
    /// permission, …).
    Refused {
        /// The topic as configured.
        topic: Arc<str>,
        /// The broker's words.
        detail: String,
    },
    /// The broker stopped delivering for good after its redelivery budget: what was
    /// delivered and never acked did not come again at three attaches in a row, nor
    /// did anything else. A new subscription name makes it flow again, without what
    /// was not delivered. With [`ClusterConfig::admin_url`] set before the first use of
    /// a subscription it does not come to this.
    Blocked {
        /// The partition's own topic.
        partition: Arc<str>,
    },
}

/// Publishes to one topic, all its partitions.
pub trait Publisher: Send + Sync {
    /// Publishes one message and waits for the broker's confirmation.
    ///
    /// Broker trouble is retried with backoff without end, so only what can never
    /// succeed comes back as an error. The caller keeps order by having one
    /// message of a lane in flight, and bounds the time by dropping the future
    /// (then it is unknown whether the message was published).
    fn publish(&self, message: Outbound) -> BoxFuture<'_, Result<(), PublishError>>;

    /// What publishing waits for at the moment, if anything; the log names it too.
    fn trouble(&self) -> Option<PublishTrouble> {
        None
    }
}

/// A message to publish.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outbound {
    /// The message.
    pub payload: Bytes,
    /// Routing key, stored with the message.
    pub key: Option<Arc<str>>,
    /// What chooses the partition where there is no key; none spreads evenly.
    pub partition_by: Option<Arc<str>>,
    /// Attributes.
    pub attributes: Vec<(String, String)>,
    /// Schema, where it is not the producer's own.
    pub schema: Option<SchemaRef>,
}

/// Why a message can never be published.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PublishError {
    /// Permanent.
    #[error("the message has {size} bytes encoded, Danube stores at most {limit}: make it smaller")]
    TooLarge {
        /// Its encoded size, in bytes.
        size: usize,
        /// The limit, in bytes.
        limit: usize,
    },
    /// Permanent.
    #[error("the broker can never accept the message: {detail}")]
    Invalid {
        /// The broker's words.
        detail: String,
    },
}

/// What keeps messages from being published; tried again all the time, because an
/// operator can change it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PublishTrouble {
    /// No broker takes the messages.
    #[error("no broker takes the messages for {topic} ({detail}): is Danube running?")]
    BrokerAway {
        /// The topic, or the partition.
        topic: Arc<str>,
        /// What was tried and how it failed.
        detail: String,
    },
    /// Danube creates topics only in namespaces that exist.
    #[error("{}", no_namespace(.topic))]
    NoNamespace {
        /// The topic, or the partition.
        topic: Arc<str>,
    },
    /// Danube takes topics that begin with this one's name for its partitions, and
    /// creates no topic beside its own partitions.
    #[error(
        "topic {topic} can never be created beside a topic whose name begins the same \
         ({detail}): give it another name, or delete that other topic"
    )]
    NameTaken {
        /// The topic, or the partition.
        topic: Arc<str>,
        /// The broker's words.
        detail: String,
    },
    /// The broker does not want the messages.
    #[error(
        "the broker refuses the messages for {topic} ({detail}): check that the producer may \
         publish there, and that reliable and schema are those of the topic"
    )]
    Refused {
        /// The topic, or the partition.
        topic: Arc<str>,
        /// The broker's words.
        detail: String,
    },
}

/// What an operator does about a topic whose namespace does not exist.
pub fn no_namespace(topic: &str) -> String {
    let namespace = topic.split('/').nth(1).unwrap_or_default();
    format!(
        "Danube has no namespace `{namespace}` for {topic}: create it with `danube-admin \
         namespaces create {namespace}`"
    )
}

/// A subscription behind its trait.
pub type BoxSubscription = Pin<Box<dyn Subscription>>;
