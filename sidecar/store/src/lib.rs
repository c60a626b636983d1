//! What the sidecar keeps across restarts.
//!
//! One embedded, crash-safe database in the data directory holds the positions
//! and epochs of source connectors, the ids of Danube consumers, and the last
//! contiguous offset of every subscribed partition. Which database that is stays
//! inside this crate.
//!
//! Every method returns after its change is durable: a crash right after it
//! loses nothing. Methods called at the same time share one commit. A dropped
//! future does not take back a change that was already handed over.

mod checkpoints;
mod error;
mod tables;
mod writer;

use std::{path::Path, sync::Arc};

pub use checkpoints::{
    Checkpoint, CheckpointError, Checkpoints, LocationError, ObjectCheckpoints, ObjectLocation,
};
pub use error::StoreError;
use writer::Writer;

/// The sidecar's store. Cheap to clone; the database is closed, and may be
/// opened again, when the last clone is dropped.
#[derive(Clone)]
pub struct Store {
    writer: Arc<Writer>,
}

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
    /// Opens the store in `data_dir`, creating both as needed.
    ///
    /// # Errors
    /// When the directory cannot be used, another process holds the store, or it
    /// was written by a newer version.
    pub fn open(data_dir: &Path) -> Result<Self, StoreError> {
        Ok(Self { writer: Arc::new(Writer::open(data_dir)?) })
    }

    /// A store that forgets everything when it is dropped.
    ///
    /// # Errors
    /// When the system refuses the store its thread.
    pub fn in_memory() -> Result<Self, StoreError> {
        Ok(Self { writer: Arc::new(Writer::in_memory()?) })
    }

    /// Begins a new epoch of `connector` and returns it: greater than every one
    /// before it, also across restarts. The first is 1.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn next_epoch(&self, connector: &str) -> Result<u64, StoreError> {
        let connector = connector.to_owned();
        self.writer.write(move |tables| tables.next_epoch(&connector)).await
    }

    /// The latest epoch of `connector`; 0 before the first.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn epoch(&self, connector: &str) -> Result<u64, StoreError> {
        let connector = connector.to_owned();
        self.writer.read(move |tables| tables.epoch(&connector)).await
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
        self.writer.write(move |tables| tables.replace_positions(&connector, &positions)).await
    }

    /// The last committed position of every source partition of `connector`, in
    /// the order of their names.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn positions(&self, connector: &str) -> Result<Vec<Position>, StoreError> {
        let connector = connector.to_owned();
        self.writer.read(move |tables| tables.positions(&connector)).await
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
        self.writer
            .write(move |tables| tables.commit_positions(&connector, epoch, &positions))
            .await
    }

    /// The Danube consumer id kept under `key`.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn consumer_id(&self, key: &str) -> Result<Option<u64>, StoreError> {
        let key = key.to_owned();
        self.writer.read(move |tables| tables.consumer_id(&key)).await
    }

    /// Keeps a Danube consumer id under `key`, replacing the one before.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn keep_consumer_id(&self, key: &str, id: u64) -> Result<(), StoreError> {
        let key = key.to_owned();
        self.writer.write(move |tables| tables.keep_consumer_id(&key, id)).await
    }

    /// The last offset of `partition` up to which nothing is missing, as
    /// `subscription` saw it.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn contiguous_offset(
        &self,
        subscription: &str,
        partition: &str,
    ) -> Result<Option<u64>, StoreError> {
        let (subscription, partition) = (subscription.to_owned(), partition.to_owned());
        self.writer.read(move |tables| tables.contiguous_offset(&subscription, &partition)).await
    }

    /// Keeps the last offset of `partition` up to which nothing is missing.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn keep_contiguous_offset(
        &self,
        subscription: &str,
        partition: &str,
        offset: u64,
    ) -> Result<(), StoreError> {
        let (subscription, partition) = (subscription.to_owned(), partition.to_owned());
        self.writer
            .write(move |tables| tables.keep_contiguous_offset(&subscription, &partition, offset))
            .await
    }
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store").field("path", &self.writer.path()).finish()
    }
}
