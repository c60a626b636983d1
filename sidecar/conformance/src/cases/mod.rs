//! The cases, in the order in which they run.

mod sink;
mod sink_busy;
mod sink_full;
mod source;
mod source_full;

use futures::future::BoxFuture;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt as _};

use super::{
    args::{Kind, Level},
    finding::Verdict,
    trial::Trial,
};

/// One promise, and how it is put to the test.
pub struct Case {
    /// How it is called.
    pub name: &'static str,
    /// Whose promise it is.
    pub kind: Kind,
    /// Who has to keep it.
    pub level: Level,
    /// The promise.
    pub promise: &'static str,
    /// What the connector finds in its environment besides the usual.
    pub environment: &'static [(&'static str, &'static str)],
    /// The test.
    pub run: for<'a> fn(&'a mut Trial) -> BoxFuture<'a, Verdict>,
}

/// All of them.
pub fn all() -> impl Iterator<Item = &'static Case> {
    sink::CASES.iter().chain(sink_full::CASES).chain(source::CASES).chain(source_full::CASES)
}

/// How a sidecar without a common version answers `open`.
fn no_common_version() -> Status {
    let details = ErrorDetails::with_error_info("NO_COMMON_VERSION", "danube-sidecar", []);
    let message = "this sidecar speaks protocol version 7 only";
    Status::with_error_details(Code::FailedPrecondition, message, details)
}

/// How a stream ends whose sidecar goes away.
fn gone() -> Status {
    Status::unavailable("the sidecar is shutting down")
}

/// A frame of a later protocol version: its one field is not known yet.
fn frame_of_the_future() -> Vec<u8> {
    // Field 1000, length-delimited, of three bytes.
    vec![0xc2, 0x3e, 3, 1, 2, 3]
}
