//! What a sink implements.

use async_trait::async_trait;

use serde_json::Value;

use crate::{ConnectorConfig, ConnectorResult, ConsumerConfig, NotWritten, SinkRecord, sink};

/// Writes records from Danube to an external system.
///
/// The [`SinkRuntime`](crate::SinkRuntime) calls `initialize`, then
/// `consumer_configs`, then connects to the sidecar, calls `configure`, and then one of
/// the process methods for what arrives. Nothing is called again when the
/// connection was lost and is back. At the end it calls `shutdown`.
///
/// Implement `process` only, and every record stands for itself. Implement
/// `process_batch` too, to write many at once. Implement
/// `process_batch_results` instead, to say what became of each. `process_outcome` and
/// `process_batch_outcomes` do the same with codes, and can leave records out.
///
/// ```
/// use async_trait::async_trait;
/// use danube_connector_sdk::{
///     ConnectorConfig, ConnectorResult, ConsumerConfig, SinkConnector, SinkRecord,
///     SubscriptionType,
/// };
///
/// struct Printer;
///
/// #[async_trait]
/// impl SinkConnector for Printer {
///     async fn initialize(&mut self, _config: ConnectorConfig) -> ConnectorResult<()> {
///         Ok(())
///     }
///
///     async fn consumer_configs(&self) -> ConnectorResult<Vec<ConsumerConfig>> {
///         Ok(vec![ConsumerConfig {
///             topic: "/default/events".to_string(),
///             consumer_name: "printer".to_string(),
///             subscription: "printer".to_string(),
///             subscription_type: SubscriptionType::Exclusive,
///         }])
///     }
///
///     async fn process(&mut self, record: SinkRecord) -> ConnectorResult<()> {
///         println!("{}", record.payload_str()?);
///         Ok(())
///     }
/// }
/// ```
#[async_trait]
pub trait SinkConnector: Send + Sync {
    /// Connects to the external system. Called once, first.
    ///
    /// # Errors
    /// Any error ends the runtime with it.
    async fn initialize(&mut self, config: ConnectorConfig) -> ConnectorResult<()>;

    /// What to consume. Called once, after `initialize`. The operator's file at
    /// the sidecar wins over it.
    ///
    /// # Errors
    /// Any error ends the runtime with it.
    async fn consumer_configs(&self) -> ConnectorResult<Vec<ConsumerConfig>>;

    /// Learns what the operator's file at the sidecar has under
    /// `[connectors.NAME.settings]`, as JSON; an empty object where it has nothing.
    /// Called once, in the first session, before any record.
    ///
    /// # Errors
    /// Any error ends the runtime with it.
    async fn configure(&mut self, settings: Value) -> ConnectorResult<()> {
        let _ = settings;
        Ok(())
    }

    /// Writes one record. `Ok` means that it is safe in the external system:
    /// the record is acked.
    ///
    /// # Errors
    /// See [`ConnectorError`](crate::ConnectorError) for what follows from each kind.
    async fn process(&mut self, record: SinkRecord) -> ConnectorResult<()>;

    /// Writes many records at once. `Ok` acks all of them.
    ///
    /// The default calls `process` for each; under a runtime each record then
    /// has its own result, so one that fails does not touch its neighbours.
    ///
    /// # Errors
    /// An error is the result of the whole batch: a `Retryable` one is offered
    /// again. An `InvalidData` one is halved and each half tried again, until
    /// the records that are wrong stand alone; only those are rejected. (The
    /// first such batch of a process is delivered once more for that.) So a
    /// batch should be checked before any of it is written, or written
    /// idempotently.
    async fn process_batch(&mut self, records: Vec<SinkRecord>) -> ConnectorResult<()> {
        for record in sink::hand_back(records) {
            self.process(record).await?;
        }
        Ok(())
    }

    /// Writes many records at once, and says what became of each: one result
    /// per record, in their order.
    ///
    /// The default asks `process_batch`.
    async fn process_batch_results(
        &mut self,
        records: Vec<SinkRecord>,
    ) -> Vec<ConnectorResult<()>> {
        sink::whole_batch(self, records).await
    }

    /// Writes one record, and says with a code what became of it.
    ///
    /// The default asks `process`.
    ///
    /// # Errors
    /// See [`NotWritten`] for what follows.
    async fn process_outcome(&mut self, record: SinkRecord) -> Result<(), NotWritten> {
        Ok(self.process(record).await?)
    }

    /// Writes many records at once, and says with a code what became of each: one
    /// outcome per record, in their order.
    ///
    /// The default asks `process_batch_results`.
    async fn process_batch_outcomes(
        &mut self,
        records: Vec<SinkRecord>,
    ) -> Vec<Result<(), NotWritten>> {
        let results = self.process_batch_results(records).await;
        results.into_iter().map(|result| result.map_err(NotWritten::from)).collect()
    }

    /// Flushes and closes. Called once, last, if `initialize` succeeded.
    ///
    /// # Errors
    /// The error becomes the runtime's, unless it already has one.
    async fn shutdown(&mut self) -> ConnectorResult<()> {
        Ok(())
    }

    /// Whether the external system is well. The sidecar asks for it. While a record or
    /// batch is being written, it hears the last answer at once.
    ///
    /// # Errors
    /// Any error means that it is not, and is shown to the operator.
    async fn health_check(&self) -> ConnectorResult<()> {
        Ok(())
    }
}
