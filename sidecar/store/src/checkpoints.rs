//! Where sources stand: epochs and positions, in the store of the data directory
//! or in an object store that several sidecars share.
//!
//! **Architecture invariant:** only the latest epoch of a connector moves its
//! positions, whichever sidecar began it.

mod blobs;
mod directory;
mod location;
mod objects;

use std::{fmt, path::PathBuf, sync::Arc, time::Duration};

use async_trait::async_trait;

pub use self::{
    location::{LocationError, ObjectLocation},
    objects::ObjectCheckpoints,
};
use crate::{Position, Store, StoreError};

/// The epochs and positions of sources.
///
/// Every method comes back within a bounded time, and a change that it reports is
/// durable. After an error it is open whether the change has happened.
#[async_trait]
pub trait Checkpoints: fmt::Debug + Send + Sync {
    /// Begins a new epoch of `connector` and returns it: greater than every one
    /// before it. From then on the older ones move nothing.
    async fn next_epoch(&self, connector: &str) -> Result<u64, CheckpointError>;

    /// Where `connector` stands.
    async fn checkpoint(&self, connector: &str) -> Result<Checkpoint, CheckpointError>;

    /// Sets the positions of the named source partitions; the others stay.
    ///
    /// # Errors
    /// [`CheckpointError::StaleEpoch`] when `epoch` is not the connector's latest:
    /// then nothing has moved.
    async fn commit_positions(
        &self,
        connector: &str,
        epoch: u64,
        positions: &[Position],
    ) -> Result<(), CheckpointError>;

    /// Replaces all positions of `connector`, in a new epoch: a session that is
    /// open somewhere moves them no more.
    async fn replace(&self, connector: &str, positions: &[Position])
    -> Result<(), CheckpointError>;
}

/// Where a source stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Checkpoint {
    /// The latest epoch; 0 before the first.
    pub epoch: u64,
    /// The last committed position of every source partition, in the order of
    /// their names.
    pub positions: Vec<Position>,
}

/// Why a checkpoint was not read or written. All but
/// [`StaleEpoch`](Self::StaleEpoch) pass when what they name is mended: try again.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CheckpointError {
    /// Permanent for the session that gets it.
    #[error(
        "epoch {epoch} of {connector:?} is not its latest, {latest}: a newer session has taken \
         over, and only that one moves positions"
    )]
    StaleEpoch {
        /// The connector's name.
        connector: String,
        /// The epoch that was presented.
        epoch: u64,
        /// The epoch in force.
        latest: u64,
    },
    /// The store in the data directory.
    #[error(transparent)]
    Store(StoreError),
    /// The object store.
    #[error(
        "the checkpoint store {location} failed: {source}; check its address, its credentials and \
         the network"
    )]
    Objects {
        /// Its url.
        location: String,
        /// What it said.
        source: Arc<object_store::Error>,
    },
    /// A directory that serves as one.
    #[error("the checkpoint directory {} failed: {source}; check its space and rights", path.display())]
    Directory {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: Arc<std::io::Error>,
    },
    /// It takes too long.
    #[error("the checkpoint store {location} did not answer within {} s", patience.as_secs())]
    Slow {
        /// Its url.
        location: String,
        /// How long it had.
        patience: Duration,
    },
    /// Others write the same checkpoint all the time.
    #[error("the checkpoint {object} in {location} changed at each of {attempts} attempts")]
    Contended {
        /// The object.
        object: String,
        /// The store's url.
        location: String,
        /// How often it was tried.
        attempts: usize,
    },
    /// Not what a sidecar writes.
    #[error(
        "the checkpoint {object} in {location} cannot be read: {detail}; run a newer sidecar, or \
         restore the object"
    )]
    Damaged {
        /// The object.
        object: String,
        /// The store's url.
        location: String,
        /// What is wrong with it.
        detail: String,
    },
}

impl From<StoreError> for CheckpointError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::StaleEpoch { connector, epoch, latest } => {
                Self::StaleEpoch { connector, epoch, latest }
            }
            error => Self::Store(error),
        }
    }
}

#[async_trait]
impl Checkpoints for Store {
    async fn next_epoch(&self, connector: &str) -> Result<u64, CheckpointError> {
        Ok(Self::next_epoch(self, connector).await?)
    }

    async fn checkpoint(&self, connector: &str) -> Result<Checkpoint, CheckpointError> {
        let epoch = self.epoch(connector).await?;
        Ok(Checkpoint { epoch, positions: self.positions(connector).await? })
    }

    async fn commit_positions(
        &self,
        connector: &str,
        epoch: u64,
        positions: &[Position],
    ) -> Result<(), CheckpointError> {
        Ok(Self::commit_positions(self, connector, epoch, positions).await?)
    }

    async fn replace(
        &self,
        connector: &str,
        positions: &[Position],
    ) -> Result<(), CheckpointError> {
        Ok(self.replace_positions(connector, positions).await?)
    }
}
