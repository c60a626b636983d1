//! What the admin API takes and gives, as JSON.

use serde::{Deserialize, Serialize};

/// Where a source stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checkpoint {
    /// The connector.
    pub connector: String,
    /// Its latest epoch; 0 before the first session.
    pub epoch: u64,
    /// Where it resumes, by source partition.
    pub positions: Vec<Position>,
}

/// A position in one source partition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Position {
    /// The source partition.
    pub source_partition: String,
    /// Where in it; only the connector knows the unit.
    pub offset: u64,
    /// Whatever else the connector keeps.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata: Option<String>,
}

/// `PUT /admin/v1/checkpoints/{connector}`: these source partitions get these
/// positions, the others keep theirs.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SetPositions {
    /// The new positions.
    pub positions: Vec<Position>,
}

/// `DELETE /admin/v1/checkpoints/{connector}`: which positions are forgotten.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ResetPositions {
    /// Only this source partition's; none: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_partition: Option<String>,
}

/// Every answer that is not a success.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Failure {
    /// What is wrong.
    pub error: Problem,
}

/// What is wrong, for programs and for people.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Problem {
    /// A constant from a closed set.
    pub reason: String,
    /// What is wrong and what to do.
    pub message: String,
}
