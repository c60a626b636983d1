use std::{path::PathBuf, sync::Arc};

/// Why the store could not do what it was asked.
///
/// `Clone`, because everyone who waits for a commit hears of its failure.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// Permanent until the operator acts.
    #[error(
        "the data directory {path} cannot be used: {source}; \
         give the sidecar a directory that it may create and write"
    )]
    DataDir {
        /// The directory as configured.
        path: PathBuf,
        /// What the system said.
        source: Arc<std::io::Error>,
    },
    /// Permanent until the other process ends.
    #[error(
        "{path} is in use by another process: stop the other sidecar, \
         or give this one a data directory of its own"
    )]
    InUse {
        /// The database file.
        path: PathBuf,
    },
    /// Permanent.
    #[error(
        "{path} has format {found}, this version reads {supported}: \
         run a newer sidecar, or move the file away to start afresh"
    )]
    Format {
        /// The database file.
        path: PathBuf,
        /// The format it was written in.
        found: u32,
        /// The newest format this version knows.
        supported: u32,
    },
    /// Permanent for the session that gets it: a newer one has taken over.
    #[error(
        "epoch {epoch} of connector {connector:?} is not its latest, {latest}: \
         a newer session has taken over, and only that one moves positions"
    )]
    StaleEpoch {
        /// The connector's name.
        connector: String,
        /// The epoch that was presented.
        epoch: u64,
        /// The epoch in force; 0 before the first.
        latest: u64,
    },
    /// Transient where space or a disk comes back: the next call tries again on a
    /// freshly opened database.
    #[error("the store {path} failed: {source}; check the disk's space and health")]
    Database {
        /// The database file.
        path: PathBuf,
        /// What the database said.
        source: Arc<redb::Error>,
    },
    /// Transient: the system is short of threads.
    #[error("the store cannot start its thread: {source}; raise the limit of processes")]
    Thread {
        /// What the system said.
        source: Arc<std::io::Error>,
    },
    /// The thread of the store ended; only restarting the sidecar helps.
    #[error("the thread of the store {path} is gone: restart the sidecar")]
    Gone {
        /// The database file.
        path: PathBuf,
    },
}
