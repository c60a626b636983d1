//! Where sources stand, and which session of one is the latest.

use std::collections::BTreeMap;

use bytes::Bytes;

use crate::{
    Store, StoreError,
    backend::{Failure, Space},
    commit::Refusal,
    faults::Call,
    keys::{Key, Table, is_long, last_number},
    transaction::Transaction,
};

/// How far a source has come in one source partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Position {
    /// The independent sequence inside the external system that `offset` counts.
    pub source_partition: String,
    /// Where in it the source stands; only the connector knows the unit.
    pub offset: u64,
    /// Whatever else the connector needs to resume.
    pub metadata: Option<String>,
}

/// Raises the epoch of `to` to that of `from`, where it is lower.
pub(crate) fn raise_epoch(tx: &mut Transaction<'_>, from: &str, to: &str) -> Result<(), Failure> {
    let least = latest_epoch(tx, from)?;
    if latest_epoch(tx, to)? < least {
        let key = Key::of(Table::Epochs).text(to).done();
        tx.put(Space::State, key, least.to_be_bytes().to_vec());
    }
    Ok(())
}

/// Most that the positions of one connector may take: names, metadata and
/// [`AROUND`] for each. All of them are read at once, and sent to the connector.
pub const MAX_POSITION_BYTES: u64 = 32 << 20;
/// What a position takes beside its texts.
const AROUND: u64 = 16;

/// What a position takes of [`MAX_POSITION_BYTES`].
pub(crate) fn size(position: &Position) -> u64 {
    let metadata = position.metadata.as_ref().map_or(0, String::len);
    AROUND + (position.source_partition.len() + metadata) as u64
}

impl Store {
    /// Begins a new epoch of `connector` and returns it: greater than every one
    /// before it, also across restarts. The first is 1.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn next_epoch(&self, connector: &str) -> Result<u64, StoreError> {
        let connector = connector.to_owned();
        self.writer
            .write(Call::BeginEpoch, move |session| Ok(begin_epoch(&mut session.tx, &connector)?))
            .await
    }

    /// The latest epoch of `connector`; 0 before the first.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn epoch(&self, connector: &str) -> Result<u64, StoreError> {
        let connector = connector.to_owned();
        self.writer
            .read(Call::ReadEpoch, move |session| Ok(latest_epoch(&session.tx, &connector)?))
            .await
    }

    /// Replaces all positions of `connector`, in a new epoch.
    ///
    /// # Errors
    /// As [`commit_positions`](Self::commit_positions).
    pub async fn replace_positions(
        &self,
        connector: &str,
        positions: &[Position],
    ) -> Result<(), StoreError> {
        let (connector, positions) = (connector.to_owned(), positions.to_vec());
        let work = move |tx: &mut Transaction<'_>| {
            let before = Totals::of(tx, &connector)?;
            let mut after = Totals::default();
            let last: BTreeMap<&str, &Position> =
                positions.iter().map(|at| (at.source_partition.as_str(), at)).collect();
            last.into_values().for_each(|position| after.add(size(position)));
            after.check(&before, &connector)?;
            begin_epoch(tx, &connector)?;
            for (key, _) in stored(tx, &connector)? {
                tx.delete(Space::State, key);
            }
            put_all(tx, &connector, &positions);
            after.save(tx, &connector);
            Ok(())
        };
        self.writer.write(Call::ReplacePositions, move |session| work(&mut session.tx)).await
    }

    /// The last committed position of every source partition of `connector`, in
    /// the order of their names.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn positions(&self, connector: &str) -> Result<Vec<Position>, StoreError> {
        let connector = connector.to_owned();
        let work = move |tx: &Transaction<'_>| {
            let prefix = Key::of(Table::Positions).text(&connector).len();
            let stored = stored(tx, &connector)?.into_iter();
            Ok(stored.filter_map(|(key, value)| decode(&key[prefix..], &value)).collect())
        };
        self.writer.read(Call::ReadPositions, move |session| work(&session.tx)).await
    }

    /// Sets the positions of the named source partitions; the others stay.
    ///
    /// # Errors
    /// [`StoreError::StaleEpoch`] when `epoch` is not the connector's latest, and
    /// [`StoreError::PositionsFull`] when its positions would take more than
    /// [`MAX_POSITION_BYTES`]: then nothing has moved. Otherwise when the database fails.
    pub async fn commit_positions(
        &self,
        connector: &str,
        epoch: u64,
        positions: &[Position],
    ) -> Result<(), StoreError> {
        let (connector, positions) = (connector.to_owned(), positions.to_vec());
        let work = move |tx: &mut Transaction<'_>| {
            let latest = latest_epoch(tx, &connector)?;
            if epoch != latest {
                return Err(Refusal::Own(StoreError::StaleEpoch { connector, epoch, latest }));
            }
            let before = Totals::of(tx, &connector)?;
            let mut after = before;
            // Of several for one source partition the last one counts.
            let last: BTreeMap<&str, &Position> =
                positions.iter().map(|at| (at.source_partition.as_str(), at)).collect();
            for position in last.into_values() {
                let replaced =
                    tx.value(Space::State, key(&connector, &position.source_partition))?;
                replaced.iter().for_each(|value| after.take(stored_size(position, value)));
                after.add(size(position));
            }
            after.check(&before, &connector)?;
            put_all(tx, &connector, &positions);
            after.save(tx, &connector);
            Ok(())
        };
        self.writer.write(Call::CommitPositions, move |session| work(&mut session.tx)).await
    }
}

fn latest_epoch(tx: &Transaction<'_>, connector: &str) -> Result<u64, Failure> {
    let stored = tx.value(Space::State, Key::of(Table::Epochs).text(connector).done())?;
    Ok(stored.and_then(|epoch| last_number(&epoch)).unwrap_or(0))
}

fn begin_epoch(tx: &mut Transaction<'_>, connector: &str) -> Result<u64, Failure> {
    let next = latest_epoch(tx, connector)? + 1;
    let key = Key::of(Table::Epochs).text(connector).done();
    tx.put(Space::State, key, next.to_be_bytes().to_vec());
    Ok(next)
}

fn key(connector: &str, source_partition: &str) -> Bytes {
    Key::of(Table::Positions).text(connector).last_text(source_partition).done()
}

/// What the stored position of the same source partition takes.
fn stored_size(position: &Position, value: &[u8]) -> u64 {
    decode(position.source_partition.as_bytes(), value).as_ref().map_or(0, size)
}

/// What a connector's positions add up to. Kept beside them, in the same commits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Totals {
    pub(crate) positions: u64,
    pub(crate) bytes: u64,
}

impl Totals {
    /// Counted where an earlier version has written them.
    pub(crate) fn of(tx: &Transaction<'_>, connector: &str) -> Result<Self, Failure> {
        if let Some(kept) = tx.value(Space::State, Self::key(connector))?
            && let Some((positions, bytes)) = kept.split_first_chunk()
            && let Some(bytes) = bytes.first_chunk()
        {
            let number = |bytes: &[u8; 8]| u64::from_be_bytes(*bytes);
            return Ok(Self { positions: number(positions), bytes: number(bytes) });
        }
        let mut counted = Self::default();
        let prefix = Key::of(Table::Positions).text(connector).len();
        for (key, value) in stored(tx, connector)? {
            counted.add(decode(&key[prefix..], &value).as_ref().map_or(0, size));
        }
        Ok(counted)
    }

    fn add(&mut self, size: u64) {
        self.positions += 1;
        self.bytes += size;
    }

    fn take(&mut self, size: u64) {
        self.positions = self.positions.saturating_sub(1);
        self.bytes = self.bytes.saturating_sub(size);
    }

    /// What is too much already may still move, and become less.
    fn check(&self, before: &Self, connector: &str) -> Result<(), StoreError> {
        if self.bytes <= MAX_POSITION_BYTES || self.bytes <= before.bytes {
            return Ok(());
        }
        let Self { positions, bytes } = *self;
        let connector = connector.to_owned();
        Err(StoreError::PositionsFull { connector, positions, bytes, max: MAX_POSITION_BYTES })
    }

    fn save(&self, tx: &mut Transaction<'_>, connector: &str) {
        let numbers = [self.positions, self.bytes].map(u64::to_be_bytes);
        tx.put(Space::State, Self::key(connector), numbers.concat());
    }

    fn key(connector: &str) -> Bytes {
        Key::of(Table::PositionTotals).text(connector).done()
    }
}

fn stored(tx: &Transaction<'_>, connector: &str) -> Result<Vec<(Bytes, Bytes)>, Failure> {
    let prefix = Key::of(Table::Positions).text(connector);
    tx.range(Space::State, &prefix.clone().done(), &prefix.end()).collect()
}

fn put_all(tx: &mut Transaction<'_>, connector: &str, positions: &[Position]) {
    for position in positions {
        tx.put(Space::State, key(connector, &position.source_partition), encode(position));
    }
}

/// What follows the offset, where anything does.
const METADATA: u8 = 1;
/// A name that is not in its key: its length, the name, and then the metadata.
const LONG_NAME: u8 = 2;

fn encode(position: &Position) -> Vec<u8> {
    let Position { source_partition, offset, metadata } = position;
    let mut value = offset.to_be_bytes().to_vec();
    if is_long(source_partition) {
        value.push(LONG_NAME);
        value.extend_from_slice(&(source_partition.len() as u32).to_be_bytes());
        value.extend_from_slice(source_partition.as_bytes());
    }
    if let Some(metadata) = metadata {
        // Tells an empty text from none.
        value.push(METADATA);
        value.extend_from_slice(metadata.as_bytes());
    }
    value
}

pub(crate) fn decode(key: &[u8], value: &[u8]) -> Option<Position> {
    let (offset, rest) = value.split_first_chunk()?;
    let (name, metadata) = match rest.split_first() {
        Some((&LONG_NAME, rest)) => {
            let (length, rest) = rest.split_first_chunk()?;
            rest.split_at_checked(u32::from_be_bytes(*length) as usize)?
        }
        _ => (key, rest),
    };
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).ok();
    Some(Position {
        source_partition: text(name)?,
        offset: u64::from_be_bytes(*offset),
        metadata: match metadata.split_first() {
            Some((_, metadata)) => Some(text(metadata)?),
            None => None,
        },
    })
}
