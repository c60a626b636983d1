//! Which message an offset stands for, until its ack.
//!
//! After a broker crash offsets repeat with other messages behind them. An ack
//! names only the offset, so the ack of a record from before the crash would
//! forget the message that has its offset now.

use std::sync::Arc;

use danube_sidecar_core::{
    hash::{ByPartition, FastMap},
    record::{Fingerprint, Identity},
};

/// Messages that were delivered and are not resolved, by partition and offset.
/// Bounded by the broker's windows.
#[derive(Debug, Default)]
pub(super) struct Unacked {
    partitions: ByPartition<FastMap<u64, Fingerprint>>,
}

impl Unacked {
    /// The broker delivered a message that is not resolved. Tells how many its
    /// partition waits for now.
    pub(super) fn delivered(&mut self, identity: &Identity, message: Fingerprint) -> usize {
        let offsets = self.partitions.get_or_insert_with(&identity.partition, FastMap::default);
        offsets.insert(identity.offset, message);
        offsets.len()
    }

    /// The partition's stream is open (again): only what comes on it can be acked.
    pub(super) fn attached(&mut self, partition: &Arc<str>) {
        if let Some(offsets) = self.partitions.get_mut(partition) {
            offsets.clear();
        }
    }

    /// The partitions that wait for at least so many.
    pub(super) fn partitions_with(&self, unacked: usize) -> Vec<Arc<str>> {
        let full = self.partitions.iter().filter(|(_, offsets)| offsets.len() >= unacked);
        full.map(|(partition, _)| Arc::clone(partition)).collect()
    }

    /// A record is resolved. Tells whether its offset still stands for it, so that
    /// the ack may go out.
    pub(super) fn resolved(
        &mut self,
        partition: &Arc<str>,
        offset: u64,
        record: Fingerprint,
    ) -> bool {
        let Some(offsets) = self.partitions.get_mut(partition) else { return false };
        let stands = offsets.get(&offset) == Some(&record);
        if stands {
            offsets.remove(&offset);
        }
        stands
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn partition() -> Arc<str> {
        "/default/t".into()
    }

    fn message(offset: u64, request_id: u64) -> Identity {
        Identity {
            partition: partition(),
            offset,
            producer: "p".into(),
            request_id,
            publish_time_ms: 0,
        }
    }

    fn deliver(unacked: &mut Unacked, message: &Identity) -> usize {
        unacked.delivered(message, message.fingerprint())
    }

    #[test]
    fn a_resolved_record_is_acked_once() {
        let mut unacked = Unacked::default();
        let first = message(7, 1);
        assert_eq!(deliver(&mut unacked, &first), 1);
        assert_eq!(deliver(&mut unacked, &message(8, 2)), 2);
        assert!(unacked.resolved(&partition(), 7, first.fingerprint()));
        assert!(!unacked.resolved(&partition(), 7, first.fingerprint()));
    }

    #[test]
    fn a_record_whose_offset_means_another_message_now_is_not_acked() {
        let mut unacked = Unacked::default();
        let (before, after) = (message(7, 1), message(7, 99));
        deliver(&mut unacked, &before);
        deliver(&mut unacked, &after);
        assert!(!unacked.resolved(&partition(), 7, before.fingerprint()));
        assert!(unacked.resolved(&partition(), 7, after.fingerprint()));
    }
}
