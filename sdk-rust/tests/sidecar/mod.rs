//! A sidecar that does what a test tells it: it accepts sessions and hands each
//! to the test, which plays the sidecar's part frame by frame.

mod script;
mod server;

pub(crate) use script::*;
pub(crate) use server::ScriptedSidecar;
