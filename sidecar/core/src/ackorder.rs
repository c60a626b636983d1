//! Which broker acks may be sent now, for one partition.

/// The acks of one partition.
#[derive(Debug, Default)]
pub struct AckOrder {}

impl AckOrder {
    /// The broker delivered the offset on the current attach.
    pub fn delivered(&mut self, _offset: u64) {}

    /// The record is resolved: its ack is wanted.
    pub fn resolved(&mut self, _offset: u64) {}

    /// The next ack to send now; ask again until there is none.
    pub fn poll(&mut self) -> Option<u64> {
        None
    }

    /// The broker answered the ack.
    pub fn answered(&mut self, _offset: u64) {}

    /// The ack did not get through: it is sent again.
    pub fn failed(&mut self, _offset: u64) {}

    /// The partition's stream ended: what is un-acked comes again on the next one.
    pub fn detached(&mut self) {}

    /// Delivered and not yet answered.
    pub fn outstanding(&self) -> usize {
        0
    }

    /// Sent and not yet answered.
    pub fn unanswered(&self) -> usize {
        0
    }
}
