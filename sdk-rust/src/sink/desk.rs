//! How the runtime learns that a connector has no `process_batch` of its own.
//!
//! Every record of a batch that a runtime hands over has a seat at a desk. The
//! default `process_batch` processes nothing then, but lays the records back on
//! the desk, and the runtime goes on with `process`, one record at a time: it
//! keeps control between them, and each has a result of its own. Records without
//! a seat, as in a connector's own tests, are simply processed.

use std::sync::{Arc, Mutex, PoisonError};

use crate::SinkRecord;

/// Where records come back to, each with its index in the batch.
#[derive(Clone, Debug, Default)]
pub(crate) struct Desk(Arc<Mutex<Vec<(usize, SinkRecord)>>>);

/// A record's place at a desk.
#[derive(Clone, Debug)]
pub(crate) struct Seat {
    desk: Desk,
    index: usize,
}

impl Desk {
    /// Gives each record a seat.
    pub(crate) fn seat(&self, records: &mut [SinkRecord]) {
        for (index, record) in records.iter_mut().enumerate() {
            record.seat = Some(Seat { desk: self.clone(), index });
        }
    }

    /// What was laid back, in the order of the batch.
    pub(crate) fn take(&self) -> Vec<(usize, SinkRecord)> {
        let mut records =
            std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        records.sort_by_key(|(index, _)| *index);
        records
    }

    fn lay(&self, index: usize, record: SinkRecord) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push((index, record));
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
