//! One worker: its window, what it has in hand, and what waits for it.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use super::{
    deliveries::Deliveries, evidence::Health, pace::Pace, settings::WorkerSettings, words::Words,
};
use crate::{
    ledger::Batch,
    slab::Key,
    window::{Held, Limits},
};

/// How long a worker may take to say how its external system is.
const HEALTH_PATIENCE: Duration = Duration::from_secs(5);

/// A session of a sink connector.
#[derive(Debug)]
pub(super) struct Worker {
    pub(super) settings: WorkerSettings,
    pub(super) deliveries: Deliveries,
    /// The next batch that it is given.
    pub(super) batch: Batch,
    pub(super) pace: Pace,
    /// Its words, when it said BUSY last.
    pub(super) busy: Words,
    /// Unresolved at this worker.
    pub(super) in_hand: Held,
    pub(super) queue: Queue,
    /// It is offered nothing more.
    pub(super) draining: bool,
    pub(super) timed_out: bool,
    joined: Instant,
    /// What it said last of its external system, and the number of that sign.
    pub(super) health: Option<(Health, u64)>,
}

impl Worker {
    pub(super) fn new(now: Instant, mut settings: WorkerSettings) -> Self {
        let batch = &mut settings.batch;
        *batch = Limits { records: batch.records.max(1), bytes: batch.bytes.max(1) };
        Self {
            settings,
            deliveries: Deliveries::default(),
            batch: Batch::FIRST,
            pace: Pace::default(),
            busy: Words::default(),
            in_hand: Held::default(),
            queue: Queue::default(),
            draining: false,
            timed_out: false,
            joined: now,
            health: None,
        }
    }

    /// Until when its first word on its external system is waited for, before it is
    /// given a suspect: a crash after it tells more.
    pub(super) fn awaits_health(&self) -> Option<Instant> {
        let awaited = self.settings.probe && self.health.is_none();
        awaited.then(|| self.joined + HEALTH_PATIENCE)
    }

    /// Whether a record of `bytes` may be offered to it now.
    pub(super) fn can_take(&self, bytes: usize) -> bool {
        let open = !self.draining && self.pace.most() > 0;
        open && self.settings.window.admits(self.in_hand, bytes)
    }

    /// What the next batch may have.
    pub(super) fn batch(&self) -> Limits {
        let records = self.settings.batch.records.min(self.pace.most());
        Limits { records, ..self.settings.batch }
    }

    /// Whether it gets nothing for now, whatever it answers.
    pub(super) fn is_paused(&self) -> bool {
        self.pace.waits() || self.settings.window.is_closed()
    }

    /// How many records more the window has room for.
    pub(super) fn room(&self) -> usize {
        self.settings.window.records.saturating_sub(self.in_hand.records)
    }

    pub(super) fn take_in_hand(&mut self, bytes: usize) {
        self.in_hand += Held::one(bytes);
    }

    /// A record is no longer unresolved here.
    pub(super) fn release(&mut self, delivery: u64, bytes: usize) {
        self.in_hand -= Held::one(bytes);
        self.deliveries.close(delivery);
        let batch = self.settings.batch.records.min(self.settings.window.records);
        self.pace.answered(delivery, batch);
    }

    pub(super) fn resize(&mut self, records: Option<usize>, bytes: Option<usize>) {
        let window = &mut self.settings.window;
        window.records = records.unwrap_or(window.records);
        window.bytes = bytes.unwrap_or(window.bytes);
    }

    /// Whether what waits makes a batch that no more records could join.
    pub(super) fn is_filled_by(&self, waiting: Held) -> bool {
        let mut at_worker = self.in_hand;
        at_worker += waiting;
        self.batch().is_reached(waiting) || self.settings.window.is_reached(at_worker)
    }
}

/// Lanes that have a record to offer, taking turns.
#[derive(Debug, Default)]
pub(super) struct Queue {
    /// Some may have nothing to offer any more.
    pub(super) lanes: VecDeque<Key>,
    /// What they have to offer.
    pub(super) waiting: Held,
    /// The oldest record that waits.
    pub(super) oldest: Option<Waiting>,
}

/// A record that waits to be offered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Waiting {
    pub(super) sequence: u64,
    pub(super) admitted: Instant,
}

impl Queue {
    /// Changes what one lane counts for.
    pub(super) fn recount(&mut self, before: Held, after: Held) {
        self.waiting -= before;
        self.waiting += after;
        if self.waiting.records == 0 {
            self.oldest = None;
        }
    }

    pub(super) fn note(&mut self, waiting: Waiting) {
        self.oldest = Some(self.oldest.map_or(waiting, |oldest| oldest.min(waiting)));
    }

    /// When its records have lingered for long enough, if there are any. Those up
    /// to the sequence `complete` need not linger.
    pub(super) fn ripe_at(&self, linger: Duration, complete: u64) -> Option<Instant> {
        let oldest = self.oldest?;
        if oldest.sequence <= complete {
            return Some(oldest.admitted);
        }
        oldest.admitted.checked_add(linger)
    }
}
