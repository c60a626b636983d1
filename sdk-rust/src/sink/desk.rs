//! How the runtime learns that a connector has no `process_batch` of its own.
//!
//! Every record of a batch that a runtime hands over has a seat at a desk. The
//! default `process_batch` processes nothing then, but lays the records back on
//! the desk, and the runtime goes on with `process`, one record at a time: it
//! keeps control between them, and each has a result of its own. Records without
//! a seat, as in a connector's own tests, are simply processed.
//!
//! The desk also tells when a batch is to be delivered once more, because it has to be
//! halved and nobody kept a copy of it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::SinkRecord;

/// Where records come back to.
#[derive(Clone, Debug)]
pub(crate) struct Desk {
    papers: Arc<Mutex<Papers>>,
    /// Whether a batch is copied before the connector has it.
    pub(crate) keeps_copies: bool,
}

/// What lies on a desk.
#[derive(Debug, Default)]
struct Papers {
    /// Records that came back, each with its index in the batch.
    laid: Vec<(usize, SinkRecord)>,
    /// Whether the batch has to be delivered once more.
    wanted_again: bool,
}

/// A record's place at a desk.
#[derive(Clone, Debug)]
pub(crate) struct Seat {
    desk: Desk,
    index: usize,
}

impl Seat {
    pub(crate) fn desk(&self) -> &Desk {
        &self.desk
    }
}

impl Desk {
    pub(crate) fn new(keeps_copies: bool) -> Self {
        Self { papers: Arc::default(), keeps_copies }
    }

    /// Gives each record a seat.
    pub(crate) fn seat(&self, records: &mut [SinkRecord]) {
        for (index, record) in records.iter_mut().enumerate() {
            record.seat = Some(Seat { desk: self.clone(), index });
        }
    }

    /// What was laid back, in the order of the batch.
    pub(crate) fn take(&self) -> Vec<(usize, SinkRecord)> {
        let mut records = std::mem::take(&mut self.papers().laid);
        records.sort_by_key(|(index, _)| *index);
        records
    }

    /// The batch has to be delivered once more.
    pub(crate) fn want_again(&self) {
        self.papers().wanted_again = true;
    }

    /// Whether the batch has to be delivered once more.
    pub(crate) fn is_wanted_again(&self) -> bool {
        self.papers().wanted_again
    }

    fn lay(&self, index: usize, record: SinkRecord) {
        self.papers().laid.push((index, record));
    }

    fn papers(&self) -> MutexGuard<'_, Papers> {
        self.papers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Lays records back where they have a seat, and returns the others.
pub(crate) fn hand_back(records: Vec<SinkRecord>) -> Vec<SinkRecord> {
    let mut seatless = Vec::new();
    for mut record in records {
        match record.seat.take() {
            Some(seat) => seat.desk.lay(seat.index, record),
            None => seatless.push(record),
        }
    }
    seatless
}
