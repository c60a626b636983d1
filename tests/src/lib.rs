//! The harness of the end-to-end tests: real processes, driven from outside.
//!
//! A test starts a broker (or uses the one that `DANUBE_SERVICE_URL` names) and a
//! sidecar, plays connectors with the generated stubs and other Danube programs
//! with danube-client, and looks only at what a user could see.

mod broker;
mod danube;
mod process;
pub mod program;
mod sidecar;
mod sink;
mod source;

pub use broker::{Broker, needs_embedded_broker};
pub use danube::{
    Received, consume, publish, publish_keyed, publish_to_partitions, receive, unique,
};
pub use process::{PATIENCE, Process, binary, eventually};
pub use sidecar::{Sidecar, SidecarBuilder};
pub use sink::{SinkWorker, acked, open};
pub use source::SourceSession;
