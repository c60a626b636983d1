//! Records and bytes in flight: what a window admits and where a batch is cut.

use std::ops::{AddAssign, SubAssign};

/// An upper bound in records and in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Most records.
    pub records: usize,
    /// Most bytes, as [`Record::encoded_len`](crate::record::Record::encoded_len) counts them.
    pub bytes: usize,
}

impl Limits {
    /// Zero of either admits nothing at all, not even a first record.
    pub fn is_closed(&self) -> bool {
        self.records == 0 || self.bytes == 0
    }

    /// Whether one record of `bytes` may join what is `held`. The first one
    /// always may, however large, or it would never move.
    pub fn admits(&self, held: Held, bytes: usize) -> bool {
        if self.is_closed() {
            return false;
        }
        held.records == 0
            || (held.records < self.records && held.bytes.saturating_add(bytes) <= self.bytes)
    }

    /// Whether nothing that is worth waiting for still fits beside what is `held`.
    pub fn is_reached(&self, held: Held) -> bool {
        held.records >= self.records || held.bytes >= self.bytes
    }
}

/// A number of records and their bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Held {
    /// Records.
    pub records: usize,
    /// Bytes.
    pub bytes: usize,
}

impl Held {
    /// A single record.
    pub fn one(bytes: usize) -> Self {
        Self { records: 1, bytes }
    }
}

impl AddAssign for Held {
    fn add_assign(&mut self, other: Self) {
        self.records += other.records;
        self.bytes += other.bytes;
    }
}

impl SubAssign for Held {
    fn sub_assign(&mut self, other: Self) {
        self.records -= other.records;
        self.bytes -= other.bytes;
    }
}
