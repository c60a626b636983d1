//! Which records came lately: so that a repeat is known for one.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    sync::Arc,
};

use bytes::{Buf as _, Bytes};
use danube_sidecar_core::record::Fingerprint;

use super::{Remembered, encoding::Encoded};
use crate::{
    backend::{Failure, Space},
    keys::{Key, Table, last_number},
    transaction::Transaction,
};

/// How many fingerprints of a partition are remembered.
const MEMORY: usize = 10_000;
const BYTES: usize = size_of::<u128>();

/// What is stored of each partition's fingerprints: a list for each append, and
/// how many it holds.
pub(super) struct Seen {
    connector: Arc<str>,
    partitions: HashMap<Arc<str>, Lists>,
}

#[derive(Default)]
struct Lists {
    stored: VecDeque<(u64, usize)>,
    fingerprints: usize,
    last: u64,
}

impl Seen {
    /// Of an inbox that nothing comes into.
    pub(super) fn none(connector: &Arc<str>) -> Self {
        Self { connector: Arc::clone(connector), partitions: HashMap::new() }
    }

    pub(super) fn load(connector: &Arc<str>, tx: &Transaction<'_>) -> Result<Self, Failure> {
        let mut seen = Self::none(connector);
        for (partition, number, list) in seen.lists(tx)? {
            let lists = seen.partitions.entry(partition).or_default();
            lists.add(number, list.len() / BYTES);
        }
        Ok(seen)
    }

    /// Remembers the records of an append, and forgets the oldest for them.
    pub(super) fn add(&mut self, tx: &mut Transaction<'_>, records: &[Encoded]) {
        let mut by_partition: BTreeMap<&Arc<str>, Vec<u8>> = BTreeMap::new();
        for record in records {
            let list = by_partition.entry(&record.partition).or_default();
            list.extend_from_slice(&record.fingerprint.0.to_be_bytes());
        }
        for (partition, list) in by_partition {
            self.add_list(tx, partition, list);
        }
    }

    fn add_list(&mut self, tx: &mut Transaction<'_>, partition: &Arc<str>, list: impl Into<Bytes>) {
        let list = list.into();
        let lists = self.partitions.entry(Arc::clone(partition)).or_default();
        let prefix = Key::of(Table::Seen).text(&self.connector).text(partition);
        let number = lists.last + 1;
        lists.add(number, list.len() / BYTES);
        tx.put(Space::State, prefix.clone().number(number).done(), list);
        while let Some(forgotten) = lists.forget() {
            tx.delete(Space::State, prefix.clone().number(forgotten).done());
        }
    }

    /// Forgets everything; `heir` remembers it, where there is one.
    pub(super) fn leave(
        &mut self,
        tx: &mut Transaction<'_>,
        mut heir: Option<&mut Self>,
    ) -> Result<(), Failure> {
        for (partition, number, list) in self.lists(tx)? {
            let key = Key::of(Table::Seen).text(&self.connector).text(&partition).number(number);
            tx.delete(Space::State, key.done());
            if let Some(heir) = heir.as_deref_mut() {
                heir.add_list(tx, &partition, list);
            }
        }
        self.partitions.clear();
        Ok(())
    }

    /// The last fingerprints of each partition, oldest first.
    pub(super) fn all(&self, tx: &Transaction<'_>) -> Result<Vec<Remembered>, Failure> {
        let mut all: BTreeMap<Arc<str>, Vec<Fingerprint>> = BTreeMap::new();
        for (partition, _, mut list) in self.lists(tx)? {
            let fingerprints = all.entry(partition).or_default();
            while list.len() >= BYTES {
                fingerprints.push(Fingerprint(list.get_u128()));
            }
        }
        for fingerprints in all.values_mut() {
            fingerprints.drain(..fingerprints.len().saturating_sub(MEMORY));
        }
        Ok(all.into_iter().collect())
    }

    fn lists(&self, tx: &Transaction<'_>) -> Result<Vec<(Arc<str>, u64, Bytes)>, Failure> {
        let prefix = Key::of(Table::Seen).text(&self.connector);
        // After the prefix: the length of the partition's name, the name, the number.
        let name = prefix.len() + size_of::<u32>();
        let entries = tx.range(Space::State, &prefix.clone().done(), &prefix.end());
        let list = |entry: Result<(Bytes, Bytes), Failure>| {
            let (key, list) = match entry {
                Ok(entry) => entry,
                Err(failure) => return Some(Err(failure)),
            };
            let partition = key.get(name..key.len().checked_sub(size_of::<u64>())?)?;
            let partition = std::str::from_utf8(partition).ok()?;
            Some(Ok((partition.into(), last_number(&key)?, list)))
        };
        entries.filter_map(list).collect()
    }
}

impl Lists {
    fn add(&mut self, number: u64, fingerprints: usize) {
        self.stored.push_back((number, fingerprints));
        self.fingerprints += fingerprints;
        self.last = number;
    }

    /// The oldest list, when the others are enough.
    fn forget(&mut self) -> Option<u64> {
        let (number, fingerprints) = *self.stored.front()?;
        if self.fingerprints - fingerprints < MEMORY {
            return None;
        }
        self.stored.pop_front();
        self.fingerprints -= fingerprints;
        Some(number)
    }
}
