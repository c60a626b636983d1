//! Order per key.

/// Which records are delivered one after the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ordering {
    /// Those of one routing key of a topic; a record without a key waits for nobody.
    Key,
    /// Those of one partition.
    Partition,
    /// None.
    None,
}
