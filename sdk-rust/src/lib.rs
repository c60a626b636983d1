//! Write Danube connectors in Rust: a thin client of the Danube sidecar.
//!
//! A connector moves data between Danube and an external system. It implements
//! [`SinkConnector`] or [`SourceConnector`], and hands itself to a
//! [`SinkRuntime`] or [`SourceRuntime`]. The runtime talks to the sidecar, which
//! owns everything that has to do with Danube: connections, acks, retries,
//! order, dead letters and positions.
//!
//! The names and signatures are those of `danube-connect-core` 0.3.1, so a
//! connector written for it needs a new dependency line and nothing else:
//!
//! ```toml
//! danube-connect-core = { package = "danube-connector-sdk", version = "0.1" }
//! ```
//!
//! What is new has defaults: [`SourceConnector::restore`] and
//! [`SourceRecord::with_offset`], [`SinkConnector::process_batch_results`], outcomes with
//! codes ([`NotWritten`]), [`SinkConnector::configure`] and [`SourceConnector::configure`],
//! [`SinkRecord::schema`], [`SourceConnector::stream`], [`SourceConnector::is_finished`],
//! [`SourceConnector::rejected`], and [`testing`].
//!
//! The SDK writes its log with `tracing` and its metrics with `metrics`, and
//! installs neither a subscriber nor a recorder.

#![warn(missing_docs)]

mod config;
mod connector;
mod danube;
mod error;
mod health;
mod metrics;
mod outcome;
mod record;
mod retry;
mod runtime;
mod schema;
mod sidecar;
mod sink;
mod source;
pub mod testing;
pub mod utils;
mod wire_text;

pub use config::{
    ConnectorConfig, ConsumerConfig, ProcessingSettings, ProducerConfig, RetrySettings,
    SubscriptionType,
};
pub use connector::{Offset, RecordStream, SinkConnector, SourceConnector};
pub use danube::{MessageID, StreamMessage, SubType};
pub use error::{ConnectorError, ConnectorResult};
pub use metrics::ConnectorMetrics;
pub use outcome::NotWritten;
pub use record::{DanubeMetadata, SinkRecord, SourceRecord};
pub use retry::{RetryConfig, RetryStrategy};
pub use runtime::{SinkRuntime, SourceRuntime, StopHandle};
pub use schema::{Schema, SchemaType};
pub use sidecar::SidecarError;
pub use utils::{Batcher, HealthChecker, HealthStatus};

/// The version of the SDK.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
/// The name of the SDK.
pub const NAME: &str = env!("CARGO_PKG_NAME");

/// How the sidecar sees the SDK.
const SDK: &str = concat!(env!("CARGO_PKG_NAME"), "/", env!("CARGO_PKG_VERSION"));
