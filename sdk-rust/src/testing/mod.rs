//! Testing a connector without a sidecar: make records, and drive the connector
//! as a runtime would.
//!
//! ```
//! # use async_trait::async_trait;
//! # use danube_connector_sdk::*;
//! use danube_connector_sdk::testing::{SinkDriver, SinkRecordBuilder};
//!
//! # struct MySink;
//! # #[async_trait]
//! # impl SinkConnector for MySink {
//! #     async fn initialize(&mut self, _: ConnectorConfig) -> ConnectorResult<()> { Ok(()) }
//! #     async fn consumer_configs(&self) -> ConnectorResult<Vec<ConsumerConfig>> { Ok(vec![]) }
//! #     async fn process(&mut self, record: SinkRecord) -> ConnectorResult<()> {
//! #         record.payload_json::<i32>().map(drop)
//! #     }
//! # }
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> ConnectorResult<()> {
//! let mut sink = SinkDriver::start(MySink, ConnectorConfig::default()).await?;
//! let good = SinkRecordBuilder::new("/default/numbers").payload("7").build();
//! let bad = SinkRecordBuilder::new("/default/numbers").payload("seven").build();
//! let results = sink.deliver(vec![good, bad]).await;
//!
//! assert!(results[0].is_ok());
//! assert!(results[1].as_ref().is_err_and(|error| error.is_invalid_data()));
//! # sink.shutdown().await?;
//! # Ok(())
//! # }
//! ```

mod record;
mod sink;
mod source;

pub use record::SinkRecordBuilder;
pub use sink::SinkDriver;
pub use source::SourceDriver;
