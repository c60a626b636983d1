//! Confirmed numbers → the longest prefix and its positions.

use std::sync::Arc;

/// A place in the external system up to which a source has been read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Position {
    /// The sequence that `offset` counts in.
    pub source_partition: Arc<str>,
    /// Where in that sequence. Stored, never computed with.
    pub offset: u64,
    /// Whatever else the connector needs to resume there.
    pub metadata: Option<String>,
}
