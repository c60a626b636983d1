//! What the operator and the workers may choose.

use std::time::Duration;

use crate::{
    lane::Ordering,
    outcome::FailureClass,
    retry::{OnExhausted, RetryPolicy},
    window::Limits,
};

/// The delivery rules of one connector.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Which records wait for each other.
    pub ordering: Ordering,
    /// When a failed record is offered again, and when it is exhausted.
    pub retry: RetryPolicy,
    /// What becomes of an exhausted record.
    pub on_exhausted: OnExhausted,
    /// Whether there are dead letters. Without them a record that would become
    /// one is skipped.
    pub dead_letters: bool,
    /// How long a worker may hold a record without a result; none is for ever.
    pub result_timeout: Option<Duration>,
    /// Records with a larger `encoded_len` are never offered: they are dead
    /// letters of the class OVERSIZE.
    pub max_record_bytes: usize,
    /// How many finished identities are remembered per partition: so many newer ones
    /// later, and twice as many at most, a repeat is taken for a new record.
    pub remember: usize,
}

impl Settings {
    /// Whether a record that is given up for this becomes a dead letter.
    pub(super) fn has_letters_for(&self, class: FailureClass) -> bool {
        let exhausted = class == FailureClass::Exhausted;
        self.dead_letters && (!exhausted || self.on_exhausted == OnExhausted::DeadLetter)
    }
}

/// What a worker asked for when it joined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WorkerSettings {
    /// Most that may be unresolved at it; zero of either pauses it. One record
    /// always passes when nothing is unresolved.
    pub window: Limits,
    /// Most in one batch; one record always passes.
    pub batch: Limits,
    /// How long a batch that is not full waits for more, counted from its oldest
    /// record. Zero sends what is there.
    pub linger: Duration,
    /// Whether it says how its external system is, when it joined and when it is asked.
    pub probe: bool,
}
