//! Where sources stand, and which session of one is the latest.

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
    /// When the database fails.
    pub async fn replace_positions(
        &self,
        connector: &str,
        positions: &[Position],
    ) -> Result<(), StoreError> {
        let (connector, positions) = (connector.to_owned(), positions.to_vec());
        let work = move |tx: &mut Transaction<'_>| {
            begin_epoch(tx, &connector)?;
            for (key, _) in stored(tx, &connector)? {
                tx.delete(Space::State, key);
            }
            put_all(tx, &connector, &positions);
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
    /// [`StoreError::StaleEpoch`] when `epoch` is not the connector's latest: then
    /// nothing has moved. Otherwise when the database fails.
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
            put_all(tx, &connector, &positions);
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

fn stored(tx: &Transaction<'_>, connector: &str) -> Result<Vec<(Bytes, Bytes)>, Failure> {
    let prefix = Key::of(Table::Positions).text(connector);
    tx.range(Space::State, &prefix.clone().done(), &prefix.end()).collect()
}

fn put_all(tx: &mut Transaction<'_>, connector: &str, positions: &[Position]) {
    for position in positions {
        let name = &position.source_partition;
        let key = Key::of(Table::Positions).text(connector).last_text(name).done();
        tx.put(Space::State, key, encode(position));
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

fn decode(key: &[u8], value: &[u8]) -> Option<Position> {
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
