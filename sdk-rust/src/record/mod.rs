//! What connectors handle: records from Danube and records for it.

mod sink;
mod source;

pub(crate) use sink::Delivery;
pub use sink::{DanubeMetadata, SinkRecord};
pub use source::SourceRecord;
