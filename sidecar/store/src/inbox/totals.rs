//! What an inbox adds up to, as it is stored.

use prost::Message as _;

/// Kept beside the records, in the same commits.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Totals {
    #[prost(uint64, tag = "1")]
    pub(super) next_seq: u64,
    /// No record with a lower number waits.
    #[prost(uint64, tag = "2")]
    pub(super) head: u64,
    #[prost(uint64, tag = "3")]
    pub(super) records: u64,
    #[prost(uint64, tag = "4")]
    pub(super) bytes: u64,
    #[prost(uint64, tag = "5")]
    pub(super) retained_records: u64,
    #[prost(uint64, tag = "6")]
    pub(super) retained_bytes: u64,
    /// No record with a lower number is retained.
    #[prost(uint64, tag = "7")]
    pub(super) retained_head: u64,
    /// The latest time of a resolution: a clock that jumps back does not count.
    #[prost(int64, tag = "8")]
    pub(super) latest_ms: i64,
}

/// The number of the last record that was appended, of totals as they are stored.
pub(crate) fn last_seq(stored: &[u8]) -> Option<u64> {
    Totals::decode(stored).ok()?.next_seq.checked_sub(1)
}
