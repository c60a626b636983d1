//! Places in an external system.

/// Up to where a source has read one partition of its external system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offset {
    /// The sequence that `value` counts in: a file, a table, a topic. Any name
    /// that is stable across restarts.
    pub partition: String,
    /// Where in that sequence.
    pub value: u64,
    /// Whatever else is needed to resume there.
    pub metadata: Option<String>,
}

impl Offset {
    /// A place.
    pub fn new(partition: impl Into<String>, value: u64) -> Self {
        Self { partition: partition.into(), value, metadata: None }
    }

    /// A place, and what else is needed to resume there.
    pub fn with_metadata(
        partition: impl Into<String>,
        value: u64,
        metadata: impl Into<String>,
    ) -> Self {
        Self { metadata: Some(metadata.into()), ..Self::new(partition, value) }
    }
}
