//! What a connector implements.

mod offset;
mod sink;
mod source;

pub use offset::Offset;
pub use sink::SinkConnector;
pub use source::{RecordStream, SourceConnector};
