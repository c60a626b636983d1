//! What goes into and comes out of the dispatch.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use super::{breaker::Breaker, quarantine::Suspicion};
use crate::{
    outcome::{DeliveryId, FailureClass, Resolution},
    record::{Fingerprint, Record},
    window::Held,
};

/// Names a worker: one session of a sink connector. Never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct WorkerId(pub u64);

/// Names a record from its admission until it is resolved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RecordId(pub u64);

/// What a delivered record is to the dispatch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// New: its end comes as an [`Event::Resolved`].
    Taken,
    /// The repeat of a record that is not resolved yet: nothing to do.
    InHand,
    /// The repeat of a finished record: ack it again.
    Resolved,
}

/// How a worker left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Departure {
    /// By itself: counted as a crash for every record it held.
    Crashed,
    /// The sidecar ended it, it was drained, or a ping was lost.
    Released,
}

/// A record on its way to a worker.
#[derive(Clone, Debug)]
pub struct Offer {
    /// Names this offer; consecutive per worker, from 1.
    pub delivery: DeliveryId,
    /// 1 for the record's first offer to any worker.
    pub attempt: u32,
    /// How many crashes of workers the record was in hand at.
    pub crashes: u32,
    /// The record's identity, already computed.
    pub fingerprint: Fingerprint,
    /// The record.
    pub record: Arc<Record>,
}

/// What happened, for the driver to act upon.
#[derive(Clone, Debug)]
pub enum Event {
    /// The record came to its end: the intake may let go of it. After a broker
    /// crash its offset can mean another message by now: compare the fingerprint
    /// before acking.
    Resolved {
        /// The partition's own topic.
        partition: Arc<str>,
        /// Offset within it.
        offset: u64,
        /// The record's identity.
        fingerprint: Fingerprint,
        /// How it ended.
        how: Resolution,
    },
    /// Publish this as a dead letter, then call
    /// [`dead_lettered`](super::Dispatch::dead_lettered).
    DeadLetter(DeadLetter),
    /// A record is given up without a dead letter, as configured: for the log. Its
    /// [`Resolved`](Self::Resolved) follows.
    GivenUp(DeadLetter),
    /// The worker held a record for too long and is offered nothing more: end its
    /// session, then call [`leave`](super::Dispatch::leave). Comes once per worker.
    ResultTimeout {
        /// The worker.
        worker: WorkerId,
    },
    /// A record is exhausted and its lane stands still until
    /// [`resume`](super::Dispatch::resume).
    Suspended {
        /// The record.
        id: RecordId,
        /// The record itself.
        record: Arc<Record>,
        /// The connector's last code.
        code: String,
        /// The connector's last words.
        reason: String,
        /// The attempt that failed last.
        attempt: u32,
    },
    /// A worker's external system is busy: it is offered nothing for a while. What is
    /// known of it is in [`busy_workers`](super::Dispatch::busy_workers).
    Busy {
        /// The worker.
        worker: WorkerId,
    },
    /// The worker's pause has passed: a small batch tries whether it is over.
    PauseEnded {
        /// The worker.
        worker: WorkerId,
    },
    /// Ask this worker how its external system is, and tell
    /// [`health`](super::Dispatch::health): a record fails, and nothing else tells whether
    /// it is its fault.
    AskHealth {
        /// The worker.
        worker: WorkerId,
    },
    /// The breaker changed its state. The intake of a sidecar without a disk
    /// detaches while it is open.
    Breaker(Breaker),
    /// Keep what is suspected of a record for the next start's
    /// [`recall`](super::Dispatch::recall); none: forget it.
    Suspected {
        /// The record's identity.
        fingerprint: Fingerprint,
        /// What is suspected now.
        suspicion: Option<Suspicion>,
    },
    /// A record failed and will be offered again.
    Retrying {
        /// The record.
        id: RecordId,
        /// The record itself.
        record: Arc<Record>,
        /// The attempt that failed.
        attempt: u32,
        /// Not before this, unless a breaker that opens or closes says sooner.
        not_before: Instant,
        /// The connector's code.
        code: String,
        /// The connector's words.
        reason: String,
    },
}

/// A record that is given up, and why. With dead letters it stays unresolved
/// until the dead letter is confirmed.
#[derive(Clone, Debug)]
pub struct DeadLetter {
    /// The record.
    pub id: RecordId,
    /// The record itself.
    pub record: Arc<Record>,
    /// Why.
    pub class: FailureClass,
    /// The connector's code; empty where the sidecar decided.
    pub code: String,
    /// The connector's words, or the sidecar's.
    pub reason: String,
    /// The attempt that failed last; 0 where the record was never offered.
    pub attempt: u32,
    /// When its first failure was reported.
    pub first_failure: Instant,
}

/// A frame of results that breaks the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Violation {
    /// The id is not one of this worker's.
    #[error(
        "delivery id {id} was never issued to this worker (issued: {issued}): send back only ids \
         from its own batches"
    )]
    NeverIssued {
        /// The id.
        id: u64,
        /// How many were issued: ids 1 to this.
        issued: u64,
    },
    /// The range ends before it begins.
    #[error("the acked range {first}..={last} is reversed: send the lower id first")]
    Reversed {
        /// Its first id.
        first: u64,
        /// Its last id.
        last: u64,
    },
}

/// What an operator wants to see. Counting it walks over all lanes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// Everything unresolved.
    pub held: Held,
    /// Unresolved at workers.
    pub in_hand: usize,
    /// Since when the record that was offered first is in hand, and at which worker.
    pub longest_in_hand: Option<(Instant, WorkerId)>,
    /// Workers that asked for nothing more: their window is zero.
    pub workers_paused: usize,
    /// Failed and waiting for their backoff to end.
    pub retries_waiting: usize,
    /// Waiting for their dead letter to be confirmed.
    pub dead_letters_pending: usize,
    /// Exhausted, waiting for the operator.
    pub suspended: usize,
    /// Failures that came for deliveries already answered or resolved, since start.
    pub late_failures: u64,
    /// Lanes with unresolved records.
    pub lanes: usize,
    /// Lanes that stand still behind a failed record.
    pub lanes_held: usize,
    /// One of the lanes that stand still.
    pub held_lane: Option<HeldLane>,
    /// Whether records flow.
    pub breaker: Breaker,
    /// Records that may be what crashed their workers: tried one by one.
    pub suspects: usize,
}

/// A worker whose external system was busy and does not take everything yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BusyWorker {
    /// The worker.
    pub worker: WorkerId,
    /// It is offered nothing until then; none: one batch at a time, not all that it could hold.
    pub until: Option<Instant>,
    /// So many records in each span of this length, where the system has a rate.
    pub quota: Option<(usize, Duration)>,
    /// The connector's code, cut.
    pub code: Arc<str>,
    /// The connector's words, cut.
    pub reason: Arc<str>,
}

/// A lane that stands still behind a failed record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldLane {
    /// The partition of the record that holds it.
    pub partition: Arc<str>,
    /// That record's offset.
    pub offset: u64,
    /// That record's key.
    pub key: Option<Arc<str>>,
    /// That record's attempts so far.
    pub attempt: u32,
}
