//! What a source implements.

use std::pin::Pin;

use async_trait::async_trait;
use serde_json::Value;
use tokio_stream::Stream;

use crate::{ConnectorConfig, ConnectorResult, Offset, ProducerConfig, SourceRecord};

/// The records of a streaming source; see [`SourceConnector::stream`].
pub type RecordStream = Pin<Box<dyn Stream<Item = ConnectorResult<SourceRecord>> + Send>>;

/// Reads records from an external system, for Danube.
///
/// The [`SourceRuntime`](crate::SourceRuntime) calls `initialize`, then
/// `producer_configs`, then connects to the sidecar, calls `configure`, `restore`, and then
/// `poll` as long as the sidecar has demand, and `commit` for what is safe.
/// Nothing is called again when the connection was lost and is back: what was
/// not committed is sent again from memory. At the end it calls `shutdown`.
#[async_trait]
pub trait SourceConnector: Send + Sync {
    /// Connects to the external system. Called once, first.
    ///
    /// # Errors
    /// Any error ends the runtime with it.
    async fn initialize(&mut self, config: ConnectorConfig) -> ConnectorResult<()>;

    /// Where records are published. Called once, after `initialize`. The
    /// operator's file at the sidecar wins over it.
    ///
    /// # Errors
    /// Any error ends the runtime with it.
    async fn producer_configs(&self) -> ConnectorResult<Vec<ProducerConfig>>;

    /// Learns what the operator's file at the sidecar has under
    /// `[connectors.NAME.settings]`, as JSON; an empty object where it has nothing.
    /// Called once, in the first session, before `restore`.
    ///
    /// # Errors
    /// Any error ends the runtime with it.
    async fn configure(&mut self, settings: Value) -> ConnectorResult<()> {
        let _ = settings;
        Ok(())
    }

    /// Learns where to go on: the last committed offset of each partition, as
    /// set by [`SourceRecord::with_offset`]. Called once, before the first
    /// `poll`; empty at the very first start.
    ///
    /// # Errors
    /// Any error ends the runtime with it.
    async fn restore(&mut self, positions: Vec<Offset>) -> ConnectorResult<()> {
        let _ = positions;
        Ok(())
    }

    /// What is new, or nothing. It should return soon: nothing else of the
    /// connector is called meanwhile.
    ///
    /// # Errors
    /// `Fatal` and `Configuration` end the runtime. After any other it polls
    /// again, with a growing backoff.
    async fn poll(&mut self) -> ConnectorResult<Vec<SourceRecord>>;

    /// Offers a stream to take records from instead of `poll`, for systems that
    /// push. Called once, after `restore`. When the stream ends, the runtime
    /// waits until everything is committed, and returns.
    ///
    /// # Errors
    /// Any error ends the runtime with it.
    async fn stream(&mut self) -> ConnectorResult<Option<RecordStream>> {
        Ok(None)
    }

    /// Whether no record will ever come again. Asked after each `poll`: the
    /// runtime then waits until everything is committed, and returns.
    fn is_finished(&self) -> bool {
        false
    }

    /// The records of one poll are safe: confirmed by Danube, their positions
    /// durable. Called once per `poll` that brought records, in order, with one
    /// offset for each: its own, or `Offset::new(topic, index)` where it has
    /// none. It never overlaps `poll`. For a stream it is called with what has become
    /// safe since.
    ///
    /// # Errors
    /// `Fatal` and `Configuration` end the runtime. Any other is logged.
    async fn commit(&mut self, offsets: Vec<Offset>) -> ConnectorResult<()> {
        let _ = offsets;
        Ok(())
    }

    /// A record can never be published: it is too large for Danube, say. It is logged, and
    /// counts as done: `commit` follows for it as for the others. `offset` is what `commit`
    /// gets for it.
    ///
    /// # Errors
    /// Any error ends the runtime with it.
    async fn rejected(&mut self, offset: Offset, code: &str, message: &str) -> ConnectorResult<()> {
        let _ = (offset, code, message);
        Ok(())
    }

    /// Closes. Called once, last, if `initialize` succeeded.
    ///
    /// # Errors
    /// The error becomes the runtime's, unless it already has one.
    async fn shutdown(&mut self) -> ConnectorResult<()> {
        Ok(())
    }

    /// Whether the external system is well. The sidecar asks for it.
    ///
    /// # Errors
    /// Any error means that it is not, and is shown to the operator.
    async fn health_check(&self) -> ConnectorResult<()> {
        Ok(())
    }
}
