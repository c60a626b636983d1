//! The sink side: who is offered which record when, and what its results mean.

mod event;
mod settings;

use std::{sync::Arc, time::Instant};

pub use self::{
    event::{
        Admission, DeadLetter, Departure, Event, HeldLane, Offer, RecordId, Status, Violation,
        WorkerId,
    },
    settings::{Settings, WorkerSettings},
};
pub use crate::{
    lane::Ordering,
    retry::{OnExhausted, RetryPolicy},
    window::{Held, Limits},
};
use crate::{outcome::Results, record::Record};

/// All records of one sink connector, from their admission to their end.
#[derive(Debug)]
pub struct Dispatch {
    settings: Settings,
    workers: u64,
}

impl Dispatch {
    /// An empty one. `seed` feeds the jitter and the choice of workers.
    pub fn new(settings: Settings, seed: u64) -> Self {
        Self { settings, workers: seed }
    }

    /// The delivery rules in force.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Takes a delivered record in hand.
    pub fn admit(&mut self, _now: Instant, _record: Record) -> Admission {
        Admission::Taken
    }

    /// The partition's stream is open (again): repeats follow.
    pub fn attached(&mut self, _partition: &Arc<str>) {}

    /// What the attach repeats has come.
    pub fn drained(&mut self, _partition: &Arc<str>) {}

    /// Forgets what was never offered of a detached partition, which means: not
    /// delivered. Tells how many records.
    pub fn forget_unoffered(&mut self, _partition: &Arc<str>) -> usize {
        0
    }

    /// No more records can arrive until some are resolved: what waits goes out
    /// without its linger.
    pub fn flush(&mut self) {}

    /// A worker is there.
    pub fn join(&mut self, _now: Instant, _settings: WorkerSettings) -> WorkerId {
        self.workers += 1;
        WorkerId(self.workers)
    }

    /// Changes a worker's window; zero pauses it.
    pub fn resize(&mut self, _worker: WorkerId, _records: Option<usize>, _bytes: Option<usize>) {}

    /// Applies one frame of results, or nothing of it.
    ///
    /// # Errors
    /// [`Violation`] when the frame breaks the protocol.
    pub fn results(
        &mut self,
        _now: Instant,
        _worker: WorkerId,
        _results: &Results,
    ) -> Result<(), Violation> {
        Ok(())
    }

    /// Offers nothing more to the worker; its results still count.
    pub fn draining(&mut self, _worker: WorkerId) {}

    /// The worker's stream is closed: what it held is offered again.
    pub fn leave(&mut self, _now: Instant, _worker: WorkerId, _departure: Departure) {}

    /// The next batch for a worker; ask again until there is none.
    pub fn poll_batch(&mut self, _now: Instant, _worker: WorkerId) -> Option<Vec<Offer>> {
        None
    }

    /// The next event; ask again until there is none.
    pub fn poll_event(&mut self) -> Option<Event> {
        None
    }

    /// When to call [`advance`](Self::advance) and poll again, if nothing happens before.
    pub fn next_wakeup(&self) -> Option<Instant> {
        None
    }

    /// Lets time pass: ends backoffs and finds result timeouts. `poll_batch` does so too.
    pub fn advance(&mut self, _now: Instant) {}

    /// The dead letter is confirmed, so the record is resolved.
    pub fn dead_lettered(&mut self, _now: Instant, _record: RecordId) {}

    /// Offers suspended records again, with a fresh count of retries.
    pub fn resume(&mut self, _now: Instant) {}

    /// Records in hand.
    pub fn unresolved(&self) -> usize {
        0
    }

    /// Records in hand and their bytes.
    pub fn held(&self) -> Held {
        Held::default()
    }

    /// What is unresolved at a worker; none if it has left.
    pub fn worker_load(&self, _worker: WorkerId) -> Option<Held> {
        None
    }

    /// What an operator wants to see.
    pub fn status(&self) -> Status {
        Status::default()
    }
}
