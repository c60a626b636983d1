//! The schema registry's contents.

/// All subjects.
#[derive(Debug, Default)]
pub(crate) struct Schemas {}
