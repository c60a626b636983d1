//! What connectors say and hear, in the sidecar's own words.
//!
//! **Architecture invariant:** no wire type appears here; `grpc::convert` is the
//! only place that knows both.

use std::time::Duration;

use danube_sidecar_core::{dispatch::Offer, outcome::Results};

use crate::config;

/// Optional frames that a connector understands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Capabilities {
    /// It answers probes.
    pub probe: bool,
    /// It finishes on `drain` and says `drained`.
    pub drain: bool,
    /// It wants schemas.
    pub schema: bool,
    /// It takes positions in pages.
    pub position_pages: bool,
}

/// Who is calling.
#[derive(Clone, Debug, Default)]
pub struct Caller {
    /// The connector's name.
    pub connector: String,
    /// The worker id it gave, if any.
    pub worker_id: Option<String>,
    /// Optional frames it understands.
    pub capabilities: Capabilities,
    /// Largest frame it accepts, in bytes.
    pub max_frame_bytes: usize,
    /// SDK name and version.
    pub sdk: String,
    /// The Danube url of its own configuration.
    pub danube_service_url: Option<String>,
}

/// A sink worker introduces itself.
#[derive(Clone, Debug, Default)]
pub struct SinkOpen {
    /// Who it is.
    pub caller: Caller,
    /// What it wants to consume.
    pub subscriptions: Vec<config::Subscription>,
    /// How it wants its records.
    pub delivery: config::Delivery,
    /// How it wants retries.
    pub retry: config::Retry,
}

/// A source introduces itself.
#[derive(Clone, Debug, Default)]
pub struct SourceOpen {
    /// Who it is.
    pub caller: Caller,
    /// Where it wants to publish.
    pub producers: Vec<config::Producer>,
}

/// A frame from a sink worker.
#[derive(Clone, Debug)]
pub enum FromSink {
    /// What became of records.
    Results(Results),
    /// A new window.
    Flow {
        /// In records.
        records: Option<usize>,
        /// In bytes.
        bytes: Option<usize>,
    },
    /// The answer to a probe.
    Health(Health),
    /// It cannot go on.
    Fault(Fault),
    /// Nothing is left in its hands.
    Drained,
}

/// A frame for a sink worker.
#[derive(Clone, Debug)]
pub enum ToSink {
    /// Records to write.
    Batch(Vec<Offer>),
    /// Is the external system well?
    Probe(u64),
    /// Finish what you hold.
    Drain(Duration),
}

/// A frame from a source.
#[derive(Clone, Debug)]
pub enum FromSource {
    /// Records to publish.
    Records {
        /// Number of the first.
        first_number: u64,
        /// The records.
        records: Vec<SourceRecord>,
    },
    /// The answer to a probe.
    Health(Health),
    /// It cannot go on.
    Fault(Fault),
    /// It sends no more.
    Drained,
}

/// A record to publish.
#[derive(Clone, Debug)]
pub struct SourceRecord {
    /// The topic; empty where there is only one.
    pub topic: String,
    /// The message.
    pub payload: bytes::Bytes,
    /// Routing key.
    pub key: Option<String>,
    /// Attributes.
    pub attributes: Vec<(String, String)>,
    /// Where it stands in the external system.
    pub position: Option<danube_sidecar_core::publish::Position>,
    /// Its encoded size, in bytes.
    pub encoded_len: usize,
}

/// How the external system is doing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Health {
    /// The probe that this answers.
    pub probe: u64,
    /// Whether it is usable.
    pub healthy: bool,
    /// What is wrong.
    pub message: String,
    /// Whether the external system was asked for this answer.
    pub checked: bool,
}

/// Why a connector cannot go on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// A short constant.
    pub code: String,
    /// What happened.
    pub message: String,
}
