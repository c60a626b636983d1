//! What records may take in memory, over all sinks.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use danube_sidecar_core::dispatch::Held;

/// What a record in hand costs beyond its bytes, roughly.
const RECORD_OVERHEAD: usize = 512;

/// The memory for records that all sinks share evenly, so that one whose connector
/// stands still leaves the others theirs.
#[derive(Debug)]
pub struct Buffers {
    max: usize,
    sharers: Arc<AtomicUsize>,
}

/// One sink's share.
#[derive(Debug)]
pub struct Share {
    max: usize,
    sharers: Arc<AtomicUsize>,
}

impl Buffers {
    /// `max` bytes for all together.
    pub fn new(max: usize) -> Self {
        Self { max, sharers: Arc::default() }
    }

    /// A share for one more.
    pub fn share(&self) -> Share {
        self.sharers.fetch_add(1, Ordering::Relaxed);
        Share { max: self.max, sharers: Arc::clone(&self.sharers) }
    }
}

impl Share {
    /// Bytes that it has, as things stand.
    pub(super) fn size(&self) -> usize {
        self.max / self.sharers.load(Ordering::Relaxed).max(1)
    }

    /// Whether nothing more should come. A sixteenth is kept free for what is on its way.
    pub(super) fn is_full(&self, held: Held) -> bool {
        self.left(held) <= self.size() / 16
    }

    /// Bytes that it has left beside what is held.
    pub(super) fn left(&self, held: Held) -> usize {
        self.size().saturating_sub(cost(held))
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.sharers.fetch_sub(1, Ordering::Relaxed);
    }
}

fn cost(held: Held) -> usize {
    held.bytes + held.records * RECORD_OVERHEAD
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_sinks_have_the_same_share() {
        let buffers = Buffers::new(1000);
        let first = buffers.share();
        assert_eq!(first.size(), 1000);
        let second = buffers.share();
        assert_eq!((first.size(), second.size()), (500, 500));
        drop(second);
        assert_eq!(first.size(), 1000);
    }

    #[test]
    fn what_is_held_counts_with_its_overhead() {
        let share = Buffers::new(10_000).share();
        assert_eq!(share.left(Held { records: 1, bytes: 100 }), 10_000 - 100 - RECORD_OVERHEAD);
        assert_eq!(share.left(Held { records: 100, bytes: 100 }), 0);
        assert!(!share.is_full(Held { records: 1, bytes: 8800 }));
        assert!(share.is_full(Held { records: 1, bytes: 8900 }));
    }
}
