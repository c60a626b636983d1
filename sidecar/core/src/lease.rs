//! When one partition's attachment must be renewed, so that the broker's ack
//! timeout never passes.

use std::time::{Duration, Instant};

/// The attachment of one partition.
#[derive(Debug)]
pub struct Lease {
    ack_timeout: Duration,
}

impl Lease {
    /// Not attached yet; the broker redelivers after `ack_timeout`.
    pub fn new(ack_timeout: Duration) -> Self {
        Self { ack_timeout }
    }

    /// The stream is open (again): all clocks begin anew.
    pub fn attached(&mut self, _now: Instant) {}

    /// The stream ended: no clock runs.
    pub fn detached(&mut self) {}

    /// The broker delivered the offset. Tells whether that was a repeat nobody
    /// asked for, which halves the ack timeout.
    pub fn delivered(&mut self, _now: Instant, _offset: u64) -> bool {
        false
    }

    /// The broker answered the offset's ack.
    pub fn acked(&mut self, _offset: u64) {}

    /// Whether the stream must be closed and opened again now.
    pub fn due(&self, _now: Instant) -> bool {
        false
    }

    /// When it is due, as things stand.
    pub fn next_deadline(&self) -> Option<Instant> {
        None
    }

    /// The broker's ack timeout, as far as known.
    pub fn ack_timeout(&self) -> Duration {
        self.ack_timeout
    }
}
