use std::{error::Error, path::PathBuf, sync::Arc};

use crate::loss::Loss;

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
        /// The database's folder.
        path: PathBuf,
    },
    /// Permanent.
    #[error(
        "{path} names format {found}, this version reads {supported}: \
         run a newer sidecar, or move the data directory away to start afresh"
    )]
    Format {
        /// The file that tells.
        path: PathBuf,
        /// The format it was written in; the greatest number where it is none.
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
    /// Transient: there is room again when positions are forgotten. Nothing has moved.
    #[error(
        "the positions of {connector:?} would be {positions}, of {bytes} bytes together, and may \
         take {max}: stop it, forget source partitions that are no more with `danube-sidecar \
         checkpoint reset CONNECTOR --partition NAME`, or keep less in their metadata"
    )]
    PositionsFull {
        /// Whose they are.
        connector: String,
        /// How many there would be.
        positions: u64,
        /// What they would take.
        bytes: u64,
        /// What they may take.
        max: u64,
    },
    /// Transient: there is room again when records are resolved. Nothing was
    /// appended.
    #[error(
        "the inbox of connector {connector:?} is full: {used} of {max_bytes} bytes wait, \
         {asked} more were to be appended; let the connector catch up, or raise inbox.max_bytes"
    )]
    InboxFull {
        /// The connector's name.
        connector: String,
        /// What waits to be resolved.
        used: u64,
        /// The budget.
        max_bytes: u64,
        /// What the batch needs.
        asked: u64,
    },
    /// Permanent until one of both is delivered: which records come first is not known.
    #[error(
        "{to:?} cannot adopt what {from:?} left: {waiting} records of {from:?} wait, and {own} of \
         {to:?} itself; deliver the older ones first, with [stranded] {from} = \"drain\""
    )]
    BothHaveRecords {
        /// Who left something.
        from: String,
        /// Its records.
        waiting: u64,
        /// Who is to have it.
        to: String,
        /// The records that it has itself.
        own: u64,
    },
    /// Transient: there is room again when connectors catch up, or somebody makes it.
    /// Nothing was appended.
    #[error(
        "the disk of {data_dir} is nearly full: less than {reserve} bytes are left, and inboxes take \
         no records until there are {resume}; what they hold is delivered meanwhile; make room, or \
         let the connectors catch up"
    )]
    DiskLow {
        /// The directory as configured.
        data_dir: PathBuf,
        /// What intake leaves.
        reserve: u64,
        /// With so much it begins again.
        resume: u64,
    },
    /// Transient: the store opens the database again by itself, as soon as that
    /// has a chance. A change that failed with it may have happened all the same.
    #[error("the store {path} failed: {source}; check the disk's space and health")]
    Database {
        /// The database's folder.
        path: PathBuf,
        /// What the database said.
        source: Arc<dyn Error + Send + Sync>,
    },
    /// Permanent until the operator has accepted the loss, or restored the directory.
    /// Nothing was changed.
    #[error(
        "the store in {data_dir} lacks what was acknowledged: {loss}; restore the data directory, or \
         see what is left (danube-sidecar store check, export) and accept the loss (danube-sidecar \
         store repair --data-dir {data_dir})"
    )]
    Lost {
        /// The directory as configured.
        data_dir: PathBuf,
        /// What is missing, as far as known.
        loss: Arc<Loss>,
    },
    /// Permanent: not what this version writes.
    #[error(
        "{what} {id} of connector {connector:?} cannot be read: run the version that wrote it, \
         or restore the data directory"
    )]
    Damaged {
        /// What kind of thing it is.
        what: &'static str,
        /// The connector's name.
        connector: String,
        /// Which one.
        id: u64,
    },
    /// Transient: the system is short of threads.
    #[error("the store cannot start its thread: {source}; raise the limit of processes")]
    Thread {
        /// What the system said.
        source: Arc<std::io::Error>,
    },
    /// Permanent: it would end the same way. Nothing of it was done, and nothing else
    /// is the worse for it.
    #[error(
        "the store {path} panicked over this request: {detail}; the others go on. This is a \
         fault of the sidecar: report it with its log"
    )]
    Panicked {
        /// The database's folder.
        path: PathBuf,
        /// What the panic said.
        detail: String,
    },
    /// The thread of the store ended; only restarting the sidecar helps.
    #[error("the thread of the store {path} is gone: restart the sidecar")]
    Gone {
        /// The database's folder.
        path: PathBuf,
    },
}

impl StoreError {
    /// Whether an append failed for want of room, so that nothing of it is in the inbox.
    pub fn is_full(&self) -> bool {
        matches!(self, Self::InboxFull { .. } | Self::DiskLow { .. })
    }

    /// Whether the same call can succeed later without a restart.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::PositionsFull { .. } => true,
            Self::InboxFull { .. }
            | Self::DiskLow { .. }
            | Self::Database { .. }
            | Self::Thread { .. } => true,
            // At open both want an operator; later they come from opening again.
            Self::DataDir { .. } | Self::InUse { .. } => true,
            Self::Format { .. }
            | Self::StaleEpoch { .. }
            | Self::Lost { .. }
            | Self::BothHaveRecords { .. }
            | Self::Damaged { .. }
            | Self::Panicked { .. }
            | Self::Gone { .. } => false,
        }
    }
}
