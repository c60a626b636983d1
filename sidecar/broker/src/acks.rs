//! The way of an ack from the reader to its partition.
//!
//! An ack names an offset, and after a crash of the broker another message may
//! stand there. So an ack counts only for the attach whose delivery the reader has
//! seen; of anything else a repeat comes, and asks for its ack again.

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicU64, Ordering},
};

use danube_sidecar_core::hash::FastSet;
use tokio::sync::Notify;

/// Acks that wait for their partition's task, which takes them all at once.
///
/// Bounded by what was delivered: [`SeenDeliveries`] passes nothing else on.
#[derive(Debug, Default)]
pub(crate) struct AckQueue {
    waiting: Mutex<Vec<Ack>>,
    wake: Notify,
    attaches: AtomicU64,
}

#[derive(Clone, Copy, Debug)]
struct Ack {
    attach: u64,
    offset: u64,
}

impl AckQueue {
    /// A new attach begins: acks of the ones before are void.
    pub(crate) fn attached(&self) {
        self.attaches.fetch_add(1, Ordering::Relaxed);
    }

    /// Returns when something waits.
    pub(crate) async fn filled(&self) {
        self.wake.notified().await;
    }

    /// What waits and belongs to the current attach.
    pub(crate) fn take(&self) -> Vec<u64> {
        let current = self.attaches.load(Ordering::Relaxed);
        let waiting =
            std::mem::take(&mut *self.waiting.lock().unwrap_or_else(PoisonError::into_inner));
        waiting.into_iter().filter(|ack| ack.attach == current).map(|ack| ack.offset).collect()
    }

    fn push(&self, ack: Ack) {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).push(ack);
        self.wake.notify_one();
    }
}

/// What the reader has seen of one partition, and may ack.
#[derive(Debug)]
pub(crate) struct SeenDeliveries {
    queue: Arc<AckQueue>,
    attaches: u64,
    open: FastSet<u64>,
}

impl SeenDeliveries {
    /// Of a partition whose first event the reader is about to see.
    pub(crate) fn new(queue: Arc<AckQueue>) -> Self {
        Self { queue, attaches: 0, open: FastSet::default() }
    }

    /// The reader saw that the partition was attached (again).
    pub(crate) fn attached(&mut self) {
        self.attaches += 1;
        self.open.clear();
    }

    /// The reader saw a delivery.
    pub(crate) fn delivered(&mut self, offset: u64) {
        self.open.insert(offset);
    }

    /// The reader acks a delivery.
    pub(crate) fn ack(&mut self, offset: u64) {
        if self.open.remove(&offset) {
            self.queue.push(Ack { attach: self.attaches, offset });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attached() -> (Arc<AckQueue>, SeenDeliveries) {
        let queue = Arc::new(AckQueue::default());
        let mut seen = SeenDeliveries::new(Arc::clone(&queue));
        queue.attached();
        seen.attached();
        (queue, seen)
    }

    #[test]
    fn a_delivery_is_acked_once() {
        let (queue, mut seen) = attached();
        seen.delivered(7);
        seen.ack(7);
        seen.ack(7);
        assert_eq!(queue.take(), [7]);
    }

    #[test]
    fn what_the_reader_has_not_seen_is_not_acked() {
        let (queue, mut seen) = attached();
        seen.ack(7);
        assert!(queue.take().is_empty());
    }

    #[test]
    fn an_ack_from_before_a_new_attach_is_void() {
        let (queue, mut seen) = attached();
        seen.delivered(7);
        queue.attached();
        seen.ack(7);
        assert!(queue.take().is_empty());
    }

    #[test]
    fn after_a_new_attach_the_repeat_must_be_seen_first() {
        let (queue, mut seen) = attached();
        seen.delivered(7);
        queue.attached();
        seen.attached();
        seen.ack(7);
        assert!(queue.take().is_empty());
        seen.delivered(7);
        seen.ack(7);
        assert_eq!(queue.take(), [7]);
    }
}
