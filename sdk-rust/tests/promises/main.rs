//! The SDK's promises, held against a sidecar that follows a script.

mod connectors;
#[expect(dead_code, reason = "shared with the tests of the examples")]
#[path = "../sidecar/mod.rs"]
mod sidecar;

mod drivers;
mod metrics;
mod sink_busy;
mod sink_lifecycle;
mod sink_outcomes;
mod sink_protocol;
mod source_commit;
mod source_lifecycle;
mod source_reconnect;
mod source_stream;
mod transport;
