//! A panic over one thing is an error of that thing.

use std::{
    any::Any,
    panic::{AssertUnwindSafe, catch_unwind},
};

/// What a panic said.
#[derive(Debug, thiserror::Error)]
#[error("it panicked: {0}")]
pub(crate) struct Panicked(pub(crate) String);

/// What `work` gives, or what its panic said. What `work` had borrowed may be half
/// changed then: the caller drops it or takes it back.
pub(crate) fn caught<T>(work: impl FnOnce() -> T) -> Result<T, Panicked> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|panic| Panicked(message(&*panic)))
}

fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
    text.unwrap_or_else(|| "without a message".to_owned())
}
