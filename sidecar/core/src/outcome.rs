//! What a connector says of its records, and what follows from it.

use std::time::Duration;

/// Names one offer of a record to a worker: new at every offer, increasing
/// within a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DeliveryId(pub u64);

/// What follows from a record that was not written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// Temporary: offered again after a backoff, at least `after`.
    Retry {
        /// The connector's own lower bound of the backoff.
        after: Option<Duration>,
    },
    /// The external system takes nothing at present, whatever the record: its worker is
    /// offered nothing for so long.
    Busy {
        /// How long; a second where the connector does not say.
        after: Option<Duration>,
    },
    /// The record can never be written.
    Reject,
    /// Deliberately not written.
    Filtered,
}

/// One record that was not written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The offer that failed.
    pub delivery: DeliveryId,
    /// What follows.
    pub outcome: Outcome,
    /// A short constant, as the connector gave it.
    pub code: String,
    /// What happened, as the connector gave it.
    pub message: String,
}

/// One frame of results. A failure beats a range that covers its id.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Results {
    /// Written: delivery ids from first to last, both included.
    pub acked: Vec<(DeliveryId, DeliveryId)>,
    /// Not written.
    pub failures: Vec<Failure>,
}

/// How a record came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Resolution {
    /// The connector wrote it.
    Acked,
    /// The connector passed over it on purpose.
    Filtered,
    /// It is in the dead-letter topic.
    DeadLettered,
    /// It was given up, as the configuration says.
    Skipped,
}

/// Why a record became a dead letter. The names are the wire's and the
/// dashboards': `x-failure-class`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FailureClass {
    /// The connector rejected it.
    Reject,
    /// Its retries are exhausted.
    Exhausted,
    /// It kills its workers.
    Crash,
    /// It does not fit a frame.
    Oversize,
}

impl FailureClass {
    /// The name on dead letters and in metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Reject => "REJECT",
            Self::Exhausted => "EXHAUSTED",
            Self::Crash => "CRASH",
            Self::Oversize => "OVERSIZE",
        }
    }
}
