//! How keys are written: every part keeps its order and its end.
//!
//! **Architecture invariant:** every text has a key. The database takes keys of
//! 65 535 bytes and panics at a longer one, so a text beyond [`LONGEST`] is in its
//! key by its hash.

use bytes::Bytes;
use xxhash_rust::xxh3::xxh3_128;

/// Longest text that is in a key as it is: far above what the sidecar's doors let
/// in. Two of them and the numbers fit one key.
pub(crate) const LONGEST: usize = 16 << 10;
/// Stands for the length of a text that is in its key by its hash.
const HASHED: u32 = u32::MAX;

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
    /// connector → what its positions add up to.
    PositionTotals = 11,
    /// connector → whose estate it is about to take over.
    Adopting = 12,
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
        let length = if is_long(text) { HASHED } else { text.len() as u32 };
        self.0.extend_from_slice(&length.to_be_bytes());
        self.last_text(text)
    }

    /// A text at the end: keys are ordered by it. A long one cannot be read from the
    /// key: its value must have it.
    pub(crate) fn last_text(mut self, text: &str) -> Self {
        if is_long(text) {
            self.0.extend_from_slice(&xxh3_128(text.as_bytes()).to_be_bytes());
        } else {
            self.0.extend_from_slice(text.as_bytes());
        }
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

/// Whether a text is in its key by its hash only.
pub(crate) fn is_long(text: &str) -> bool {
    text.len() > LONGEST
}

/// The text behind the table of a key in the state space; none where it is there by
/// its hash.
pub(crate) fn first_text(key: &[u8]) -> Option<&str> {
    let (length, rest) = key.get(1..)?.split_first_chunk()?;
    let length = u32::from_be_bytes(*length);
    let text = rest.get(..usize::try_from(length).ok()?)?;
    if length == HASHED { None } else { std::str::from_utf8(text).ok() }
}

/// The number at the end of a key.
pub(crate) fn last_number(key: &[u8]) -> Option<u64> {
    key.last_chunk().map(|bytes| u64::from_be_bytes(*bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_text_has_a_key_that_the_database_takes() {
        let long = |letter: &str| letter.repeat(5 << 20);
        let key = |one: &str, other: &str| {
            let key = Key::of(Table::Contiguous).text(one).text(other).number(1).done();
            assert!(key.len() <= usize::from(u16::MAX), "{} bytes", key.len());
            key
        };
        let longest = "x".repeat(LONGEST);
        let keys = [
            key("", ""),
            key(&longest, &longest),
            key(&long("a"), "b"),
            key("a", &long("b")),
            key(&long("a"), &long("b")),
            key(&long("b"), &long("a")),
        ];
        let different: std::collections::HashSet<_> = keys.iter().collect();
        assert_eq!(different.len(), keys.len());
    }
}
