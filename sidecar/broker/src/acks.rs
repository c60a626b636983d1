//! The way of an ack from the caller to its partition.

use std::sync::{Mutex, PoisonError};

use tokio::sync::Notify;

/// Acks that wait for their partition's task, which takes them all at once.
///
/// Bounded by what was delivered: nobody acks what they were not given.
#[derive(Debug, Default)]
pub(crate) struct AckQueue {
    waiting: Mutex<Vec<u64>>,
    wake: Notify,
}

impl AckQueue {
    pub(crate) fn push(&self, offset: u64) {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).push(offset);
        self.wake.notify_one();
    }

    /// Returns when something waits.
    pub(crate) async fn filled(&self) {
        self.wake.notified().await;
    }

    pub(crate) fn take(&self) -> Vec<u64> {
        std::mem::take(&mut self.waiting.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
