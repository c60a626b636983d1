//! What connectors said last of the records that fail, for the operator.

use std::{collections::BTreeMap, sync::Arc};

/// Most bytes that are kept of a code and of a reason: there may be as many of them as
/// records in hand.
const CODE: usize = 64;
const REASON: usize = 256;

/// Why a record failed, in the connector's words; cut.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Words {
    pub(super) code: Box<str>,
    pub(super) reason: Box<str>,
}

impl Words {
    pub(super) fn new(code: &str, reason: &str) -> Self {
        Self { code: cut(code, CODE).into(), reason: cut(reason, REASON).into() }
    }
}

/// The last words on each record that failed and is not resolved, by the record's
/// sequence.
#[derive(Debug, Default)]
pub(super) struct LastWords(BTreeMap<u64, Arc<Words>>);

impl LastWords {
    pub(super) fn keep(&mut self, sequence: u64, code: &str, reason: &str) {
        self.0.insert(sequence, Arc::new(Words::new(code, reason)));
    }

    pub(super) fn of(&self, sequence: u64) -> Arc<Words> {
        self.0.get(&sequence).cloned().unwrap_or_default()
    }

    pub(super) fn forget(&mut self, sequence: u64) {
        self.0.remove(&sequence);
    }
}

/// The beginning of a text, of whole characters.
fn cut(text: &str, most: usize) -> &str {
    let end = (0..=most.min(text.len())).rev().find(|&end| text.is_char_boundary(end));
    end.map_or("", |end| &text[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_words_are_cut_between_characters() {
        let mut words = LastWords::default();
        words.keep(7, "DOWN", &"é".repeat(200));
        assert_eq!(words.of(7).reason.len(), 256);
        words.keep(7, "DOWN", &format!("x{}", "é".repeat(200)));
        assert_eq!(words.of(7).reason.len(), 255);
        words.forget(7);
        assert_eq!(*words.of(7), Words::default());
    }
}
