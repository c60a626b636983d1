//! What a data directory holds, by connector: so that nothing in it is forgotten when
//! a name is.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;

use crate::{
    Store, StoreError,
    backend::{Failure, Space},
    commit::{Refusal, Session},
    faults::Call,
    inbox, keys,
    keys::{Key, Table},
    letters,
    positions::Totals,
    transaction::Transaction,
};

/// What is kept under one name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Holdings {
    /// Records that were acked to Danube and not delivered.
    pub records: u64,
    /// Their bytes, as stored.
    pub record_bytes: u64,
    /// When the oldest of them was appended, as far as known.
    pub oldest_record_ms: Option<i64>,
    /// Resolved records that are kept for a replay.
    pub retained_records: u64,
    /// Their bytes, as stored.
    pub retained_bytes: u64,
    /// Local copies of dead letters.
    pub letters: u64,
    /// Their bytes, as stored.
    pub letter_bytes: u64,
    /// When the oldest of them was kept.
    pub oldest_letter_ms: Option<i64>,
    /// Source partitions with a position.
    pub positions: u64,
    /// Bytes of the positions.
    pub position_bytes: u64,
    /// Records that are suspected of killing their workers.
    pub suspicions: u64,
}

impl Holdings {
    /// Whether there is nothing.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl Store {
    /// What is kept under each name that has something.
    ///
    /// # Errors
    /// When the database fails, or what it tells cannot be read.
    pub async fn holdings(&self) -> Result<BTreeMap<String, Holdings>, StoreError> {
        let mut all = BTreeMap::new();
        for name in self.writer.read(Call::ReadHoldings, |session| Ok(names(&session.tx)?)).await? {
            // Others get their turn between two names.
            let of = name.clone();
            let held =
                self.writer.read(Call::ReadHoldings, move |session| holdings(session, &of)).await?;
            if !held.is_empty() {
                all.insert(name, held);
            }
        }
        Ok(all)
    }
}

fn holdings(session: &Session<'_, '_>, name: &str) -> Result<Holdings, Refusal> {
    let tx = &session.tx;
    let waiting = inbox::peek(tx, name)?;
    let letters = letters::peek(tx, name)?;
    let positions = Totals::of(tx, name)?;
    let suspected = Key::of(Table::Suspicions).text(name);
    Ok(Holdings {
        records: waiting.records,
        record_bytes: waiting.bytes,
        oldest_record_ms: waiting.oldest_ms,
        retained_records: waiting.retained_records,
        retained_bytes: waiting.retained_bytes,
        letters: letters.letters,
        letter_bytes: letters.bytes,
        oldest_letter_ms: letters.oldest_ms,
        positions: positions.positions,
        position_bytes: positions.bytes,
        suspicions: tx
            .range(Space::State, &suspected.clone().done(), &suspected.end())
            .try_fold(0, |count, entry| entry.map(|_| count + 1))?,
    })
}

/// The names under which anything is kept.
fn names(tx: &Transaction<'_>) -> Result<BTreeSet<String>, Failure> {
    let mut names = BTreeSet::new();
    for table in [Table::Inboxes, Table::LetterTotals, Table::Positions, Table::Suspicions] {
        let end = Key::of(table).end();
        let mut from = Key::of(table).done();
        while let Some(entry) = tx.range(Space::State, &from, &end).next() {
            let (key, _) = entry?;
            // One that is in its key by its hash can only be asked for by its name.
            names.extend(keys::first_text(&key).map(str::to_owned));
            from = behind(table, &key);
        }
    }
    Ok(names)
}

/// The least key of the table behind all that begin with the same name as this one.
fn behind(table: Table, key: &Bytes) -> Bytes {
    match keys::first_text(key) {
        Some(name) => Key::of(table).text(name).end(),
        None => {
            let mut next = key.to_vec();
            next.push(0);
            next.into()
        }
    }
}
