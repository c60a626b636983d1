//! The guide's code, run.

mod coverage;
mod mains;
#[expect(dead_code, reason = "shared with the tests of the SDK")]
#[path = "../../../../sdk-rust/tests/sidecar/mod.rs"]
mod sidecar;
mod sinks;
mod sources;
