//! Records that cannot be read: what is behind them is not kept from anybody.

use super::stored::Keys;
use crate::{backend::Space, transaction::Transaction};

/// So often a place is tried before it is passed over: a disk may have been busy.
const TRIES: u32 = 3;

/// The places that were passed over since the database was opened.
#[derive(Debug, Default)]
pub(super) struct Unreadable {
    /// First and last numbers.
    passed: Vec<(u64, u64)>,
    /// The place that was tried last, and how often.
    tried: (u64, u32),
}

impl Unreadable {
    /// Whether the place has had its chances.
    pub(super) fn is_given_up(&mut self, first: u64) -> bool {
        let (place, tries) = self.tried;
        self.tried = (first, if place == first { tries + 1 } else { 1 });
        self.tried.1 >= TRIES || self.passed.iter().any(|(passed, _)| *passed == first)
    }

    /// Whether this is new.
    pub(super) fn pass(&mut self, first: u64, last: u64) -> bool {
        let new = !self.passed.contains(&(first, last));
        if new {
            self.passed.push((first, last));
        }
        new
    }

    /// Numbers that were passed over; some may have been resolved long ago.
    pub(super) fn count(&self) -> u64 {
        self.passed.iter().map(|(first, last)| last - first + 1).sum()
    }
}

impl Keys {
    /// The last of the numbers from `first` on, below `end`, that cannot be read.
    pub(super) fn unreadable_to(&self, tx: &Transaction<'_>, first: u64, end: u64) -> u64 {
        let (from, to) = (self.record(first), self.record(end));
        let number = |key: bytes::Bytes| {
            let (number, behind) = key.get(from.len() - 8..)?.split_first_chunk()?;
            let number = u64::from_be_bytes(*number);
            Some(if behind.is_empty() { number } else { number + 1 })
        };
        let readable = tx.readable_behind(Space::Records, &from, &to);
        let readable = readable.and_then(number).unwrap_or(end);
        readable.clamp(first + 1, end.max(first + 1)) - 1
    }
}
