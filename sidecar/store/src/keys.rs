//! How keys are written: every part keeps its order and its end.

use bytes::Bytes;

/// Begins every key of [`Space::State`](crate::backend::Space): what it is about.
#[derive(Clone, Copy, Debug)]
#[repr(u8)]
pub(crate) enum Table {
    Epochs = 1,
    Positions = 2,
    Consumers = 3,
    Contiguous = 4,
    Suspicions = 5,
    /// connector → what its inbox holds.
    Inboxes = 6,
    /// connector, seq → a resolved record that is retained.
    Retained = 7,
    /// connector, partition, number → fingerprints.
    Seen = 8,
    /// connector → what its letters add up to.
    LetterTotals = 9,
    /// connector, dedup_id → id.
    LetterIds = 10,
}

/// A key in the making.
#[derive(Clone, Debug, Default)]
pub(crate) struct Key(Vec<u8>);

impl Key {
    /// A key of a table in the state space.
    pub(crate) fn of(table: Table) -> Self {
        Self(vec![table as u8])
    }

    /// A key in a space of its own.
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// A text that others follow. A text that begins another one does not begin
    /// the other's key: the length comes first.
    pub(crate) fn text(mut self, text: &str) -> Self {
        self.0.extend_from_slice(&(text.len() as u32).to_be_bytes());
        self.0.extend_from_slice(text.as_bytes());
        self
    }

    /// A text at the end: keys are ordered by it.
    pub(crate) fn last_text(mut self, text: &str) -> Self {
        self.0.extend_from_slice(text.as_bytes());
        self
    }

    pub(crate) fn number(mut self, number: u64) -> Self {
        self.0.extend_from_slice(&number.to_be_bytes());
        self
    }

    pub(crate) fn wide_number(mut self, number: u128) -> Self {
        self.0.extend_from_slice(&number.to_be_bytes());
        self
    }

    pub(crate) fn done(self) -> Bytes {
        self.0.into()
    }

    /// The least key that does not begin with this one.
    pub(crate) fn end(mut self) -> Bytes {
        while let Some(last) = self.0.pop() {
            if last < u8::MAX {
                self.0.push(last + 1);
                break;
            }
        }
        self.0.into()
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }
}

/// The number at the end of a key.
pub(crate) fn last_number(key: &[u8]) -> Option<u64> {
    key.last_chunk().map(|bytes| u64::from_be_bytes(*bytes))
}
