//! What an external system takes in a span of time, as far as that was found out.

use std::time::Duration;

use super::pace::LONGEST_PAUSE;

/// Rounds of the quota between two that try more, at most.
const MOST_PATIENCE: u32 = 64;

/// So many records in each span.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Quota {
    pub(super) records: usize,
    pub(super) span: Duration,
    /// Rounds of it that were written since it was tried to be more.
    clean: u32,
    /// How many of them it takes until the next try.
    patience: u32,
}

impl Quota {
    pub(super) fn new(records: usize, span: Duration) -> Self {
        Self { records, span, clean: 0, patience: 1 }
    }

    /// How many records the next round may have.
    pub(super) fn next(&self) -> usize {
        if self.clean < self.patience { self.records } else { self.records.saturating_mul(2) }
    }

    /// It was too much.
    pub(super) fn shrink(&mut self) {
        self.clean = 0;
        match self.records {
            0 | 1 => self.span = self.span.saturating_mul(2).min(LONGEST_PAUSE),
            more => self.records = more / 2,
        }
    }

    /// More than it was too much.
    pub(super) fn keep(&mut self) {
        self.clean = 0;
        self.patience = self.patience.saturating_mul(2).min(MOST_PATIENCE);
    }

    /// A round of it was written.
    pub(super) fn written(&mut self) {
        self.clean = self.clean.saturating_add(1);
    }

    /// A round of more was written.
    pub(super) fn grown(self, records: usize) -> Self {
        Self { records, clean: 0, ..self }
    }
}
