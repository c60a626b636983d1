//! What inboxes and dead letters add up to, as the log and the witness know it: tells
//! what is missing, by connector.

use std::collections::BTreeMap;

use super::{journal::Item, witness::Words};
use crate::{inbox, keys::Table, letters, loss::ConnectorLoss};

/// The last totals that were found, by key.
#[derive(Debug, Default)]
pub(super) struct Found(BTreeMap<Vec<u8>, Vec<u8>>);

/// Whether a key of the space of small things is that of totals.
pub(super) fn is_total(key: &[u8]) -> bool {
    let tables = [Table::Inboxes, Table::LetterTotals];
    tables.iter().any(|table| key.first() == Some(&(*table as u8)))
}

impl Found {
    pub(super) fn note<'b>(&mut self, items: impl Iterator<Item = Item<'b>>) {
        // Keys of the other spaces begin with a length, whose first byte is zero.
        for item in items.filter(|item| is_total(item.key)) {
            let Some(value) = item.value else { continue };
            match self.0.get_mut(item.key) {
                Some(known) => value.clone_into(known),
                None => _ = self.0.insert(item.key.to_vec(), value.to_vec()),
            }
        }
    }

    pub(super) fn insert(&mut self, key: &[u8], value: &[u8]) {
        self.0.insert(key.to_vec(), value.to_vec());
    }

    /// What the witness knows of, and the log does not. A connector that the log says
    /// nothing of is left out: its tables may have it.
    pub(super) fn missing(&self, words: &Words) -> Vec<ConnectorLoss> {
        let lost = words.totals.iter().filter_map(|total| {
            let (found, known) = (self.0.get(&total.key[..])?, &total.value[..]);
            let (table, name) = total.key.split_first()?;
            let last =
                if *table == Table::Inboxes as u8 { inbox::last_seq } else { letters::last_id };
            let numbers = (last(found)? + 1, last(known)?);
            let what = if *table == Table::Inboxes as u8 { "records" } else { "dead letters" };
            let connector = String::from_utf8_lossy(name.get(4..)?).into_owned();
            (numbers.0 <= numbers.1).then_some(ConnectorLoss { connector, what, numbers })
        });
        lost.collect()
    }
}
