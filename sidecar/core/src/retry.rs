//! When a failed record is offered again, and when it is exhausted.

use std::time::Duration;

/// The retry rules of a connector.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryPolicy {
    /// Failed attempts after the first one that exhaust a record.
    pub max_retries: u32,
    /// Upper bound of the first backoff; doubled at each further failure.
    pub initial_backoff: Duration,
    /// Upper bound of every backoff.
    pub max_backoff: Duration,
    /// From this long after the first failure every failed attempt counts.
    pub max_age: Duration,
}

/// What becomes of an exhausted record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnExhausted {
    /// A dead letter.
    DeadLetter,
    /// Given up and counted.
    Skip,
    /// Its lane stands still until an operator resumes it.
    Suspend,
}
