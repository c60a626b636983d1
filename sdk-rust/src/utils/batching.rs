//! Collecting items into batches.

use std::time::{Duration, Instant};

/// Collects items until there are enough of them, or they have waited long enough.
#[derive(Debug)]
pub struct Batcher<T> {
    items: Vec<T>,
    max_size: usize,
    timeout: Duration,
    last_flush: Instant,
}

impl<T> Batcher<T> {
    /// A batch is due at `max_size` items, or `timeout` after the last flush.
    pub fn new(max_size: usize, timeout: Duration) -> Self {
        Self { items: Vec::with_capacity(max_size), max_size, timeout, last_flush: Instant::now() }
    }

    /// Adds an item.
    pub fn add(&mut self, item: T) {
        self.items.push(item);
    }

    /// Whether a batch is due.
    pub fn should_flush(&self) -> bool {
        self.items.len() >= self.max_size || self.last_flush.elapsed() >= self.timeout
    }

    /// Whether nothing is collected.
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// How many items are collected.
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// Takes all items, and starts anew.
    pub fn flush(&mut self) -> Vec<T> {
        self.last_flush = Instant::now();
        std::mem::take(&mut self.items)
    }

    /// What is collected.
    pub fn items(&self) -> &[T] {
        &self.items
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_batch_is_due() {
        let mut batcher = Batcher::new(2, Duration::from_secs(3600));
        batcher.add(1);
        assert!(!batcher.should_flush());
        batcher.add(2);

        assert!(batcher.should_flush());
        assert_eq!(batcher.flush(), [1, 2]);
        assert!(batcher.is_empty());
    }

    #[test]
    fn an_old_batch_is_due() {
        let mut batcher = Batcher::new(10, Duration::ZERO);
        batcher.add(1);

        assert!(batcher.should_flush());
        assert_eq!(batcher.items(), [1]);
    }
}
