//! What runs a connector: from its initialization to its shutdown.

mod sink;
mod source;
mod stop;

pub use sink::SinkRuntime;
pub use source::SourceRuntime;
pub(crate) use stop::Stop;
pub use stop::StopHandle;
