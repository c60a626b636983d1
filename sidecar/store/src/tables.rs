//! The layout of the database, and what is done in it.

use redb::{ReadableTable, TableDefinition, WriteTransaction};

use crate::Position;

/// The format this version writes; raised when the layout changes.
pub(crate) const FORMAT: u32 = 1;

const META: TableDefinition<'_, &str, u32> = TableDefinition::new("meta");
/// connector → its latest epoch.
const EPOCHS: TableDefinition<'_, &str, u64> = TableDefinition::new("epochs");
/// (connector, source partition) → (offset, metadata).
const POSITIONS: TableDefinition<'_, (&str, &str), (u64, Option<&str>)> =
    TableDefinition::new("positions");
/// key → consumer id.
const CONSUMERS: TableDefinition<'_, &str, u64> = TableDefinition::new("consumers");
/// (subscription, partition) → offset.
const CONTIGUOUS: TableDefinition<'_, (&str, &str), u64> = TableDefinition::new("contiguous");

/// One transaction. An operation that fails by its own rules MUST do so before
/// its first change, because its neighbours in the transaction are committed.
pub(crate) struct Tables<'t>(pub(crate) &'t WriteTransaction);

/// Why an operation did not happen.
pub(crate) enum Refusal {
    /// By its own rules; the transaction goes on.
    StaleEpoch { connector: String, epoch: u64, latest: u64 },
    /// The database failed; the transaction is lost.
    Database(redb::Error),
}

impl<E: Into<redb::Error>> From<E> for Refusal {
    fn from(error: E) -> Self {
        Self::Database(error.into())
    }
}

impl Tables<'_> {
    /// The format of the database; a new one gets ours.
    pub(crate) fn format(&self) -> Result<u32, redb::Error> {
        let mut meta = self.0.open_table(META)?;
        let found = meta.get("format")?.map(|found| found.value());
        if let Some(found) = found {
            return Ok(found);
        }
        meta.insert("format", FORMAT)?;
        Ok(FORMAT)
    }

    pub(crate) fn next_epoch(&self, connector: &str) -> Result<u64, Refusal> {
        let mut epochs = self.0.open_table(EPOCHS)?;
        let next = epochs.get(connector)?.map_or(0, |epoch| epoch.value()) + 1;
        epochs.insert(connector, next)?;
        Ok(next)
    }

    pub(crate) fn epoch(&self, connector: &str) -> Result<u64, Refusal> {
        Ok(self.0.open_table(EPOCHS)?.get(connector)?.map_or(0, |epoch| epoch.value()))
    }

    pub(crate) fn replace_positions(
        &self,
        connector: &str,
        positions: &[Position],
    ) -> Result<(), Refusal> {
        let epoch = self.next_epoch(connector)?;
        let before = self.positions(connector)?;
        {
            let mut table = self.0.open_table(POSITIONS)?;
            for Position { source_partition, .. } in &before {
                table.remove((connector, source_partition.as_str()))?;
            }
        }
        self.commit_positions(connector, epoch, positions)
    }

    pub(crate) fn positions(&self, connector: &str) -> Result<Vec<Position>, Refusal> {
        let table = self.0.open_table(POSITIONS)?;
        let mut positions = Vec::new();
        for entry in table.range((connector, "")..)? {
            let (key, value) = entry?;
            let (owner, source_partition) = key.value();
            if owner != connector {
                break;
            }
            let (offset, metadata) = value.value();
            positions.push(Position {
                source_partition: source_partition.to_owned(),
                offset,
                metadata: metadata.map(str::to_owned),
            });
        }
        Ok(positions)
    }

    pub(crate) fn commit_positions(
        &self,
        connector: &str,
        epoch: u64,
        positions: &[Position],
    ) -> Result<(), Refusal> {
        let latest = self.0.open_table(EPOCHS)?.get(connector)?.map_or(0, |latest| latest.value());
        if epoch != latest {
            return Err(Refusal::StaleEpoch { connector: connector.to_owned(), epoch, latest });
        }
        let mut table = self.0.open_table(POSITIONS)?;
        for Position { source_partition, offset, metadata } in positions {
            table.insert((connector, source_partition.as_str()), (*offset, metadata.as_deref()))?;
        }
        Ok(())
    }

    pub(crate) fn consumer_id(&self, key: &str) -> Result<Option<u64>, Refusal> {
        Ok(self.0.open_table(CONSUMERS)?.get(key)?.map(|id| id.value()))
    }

    pub(crate) fn keep_consumer_id(&self, key: &str, id: u64) -> Result<(), Refusal> {
        self.0.open_table(CONSUMERS)?.insert(key, id)?;
        Ok(())
    }

    pub(crate) fn contiguous_offset(
        &self,
        subscription: &str,
        partition: &str,
    ) -> Result<Option<u64>, Refusal> {
        let table = self.0.open_table(CONTIGUOUS)?;
        Ok(table.get((subscription, partition))?.map(|offset| offset.value()))
    }

    pub(crate) fn keep_contiguous_offset(
        &self,
        subscription: &str,
        partition: &str,
        offset: u64,
    ) -> Result<(), Refusal> {
        self.0.open_table(CONTIGUOUS)?.insert((subscription, partition), offset)?;
        Ok(())
    }
}
