//! The little that the store asks of a database: ordered keys, atomic commits.
//!
//! **Architecture invariant:** nothing outside [`engine`] names the engine, and
//! nothing outside this module sees more of a backend than [`Backend`].

pub(crate) mod engine;
pub(crate) mod gaps;
pub(crate) mod memory;

use std::{
    collections::BTreeMap,
    error::Error,
    path::{Path, PathBuf},
    sync::Arc,
};

use bytes::Bytes;

use crate::{StoreError, room::Disk};

/// Which of the backend's ordered key spaces a key belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Space {
    /// Small things, read and overwritten often.
    State,
    /// Records of the inboxes: written once, deleted roughly in order.
    Records,
    /// Local copies of dead letters.
    Letters,
}

/// How much a commit must survive before it returns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Durability {
    /// The death of the process: written to the operating system.
    Process,
    /// The loss of power: fsynced.
    Power,
}

/// What one commit changes: the new value of each key, `None` where it goes.
pub(crate) type Changes = BTreeMap<(Space, Bytes), Option<Bytes>>;

/// A key and its value.
pub(crate) type Entry = (Bytes, Bytes);

/// What a backend said when it failed.
#[derive(Clone, Debug)]
pub(crate) struct Failure(pub(crate) Arc<dyn Error + Send + Sync>);

impl Failure {
    pub(crate) fn new(error: impl Error + Send + Sync + 'static) -> Self {
        Self(Arc::new(error))
    }

    pub(crate) fn at(self, path: &Path) -> StoreError {
        StoreError::Database { path: path.to_owned(), source: self.0 }
    }
}

/// An ordered map on disk or in memory. One thread at a time uses it.
pub(crate) trait Backend: Send {
    fn value(&self, space: Space, key: &[u8]) -> Result<Option<Bytes>, Failure>;

    /// What is committed with keys from `from` on, below `to`, in order.
    fn range<'a>(
        &'a self,
        space: Space,
        from: &[u8],
        to: &[u8],
    ) -> Box<dyn Iterator<Item = Result<Entry, Failure>> + 'a>;

    /// Commits all changes or none. After a failure it is open which, until the
    /// backend was opened again.
    fn commit(&mut self, changes: Changes, durability: Durability) -> Result<(), Failure>;

    /// Makes all earlier commits survive a loss of power.
    fn sync(&mut self) -> Result<(), Failure>;

    /// Whether nothing is left to do in the background; `sync` does it.
    fn settled(&self) -> bool {
        true
    }

    /// Bytes that are in the log only, and are to be written elsewhere.
    fn unwritten(&self) -> u64 {
        0
    }

    /// Bytes of the log on the disk.
    fn log_bytes(&self) -> u64 {
        0
    }

    /// Gives space back to the disk, some now and some at the next calls. The
    /// caller has deleted all keys from `from` on below `to`, and will never write
    /// one there again.
    fn reclaim(&mut self, space: Space, from: &[u8], to: &[u8]) -> Result<(), Failure>;
}

/// Opens a backend, at first and after each of its failures.
pub(crate) trait Open: Send {
    fn open(&self) -> Result<Box<dyn Backend>, StoreError>;

    /// Opens a backend that gives the room of its log back soon: what of it is still
    /// wanted goes elsewhere.
    fn open_without_log(&self) -> Result<Box<dyn Backend>, StoreError> {
        self.open()
    }

    /// The disk, where there is one.
    fn disk(&self) -> Option<Box<dyn Disk>> {
        None
    }

    /// Whether opening has a chance: an open backend that no longer writes may
    /// still answer reads, and is given up only for a better one.
    fn worth_trying(&self) -> bool;
}

/// Names the store in errors.
pub(crate) fn in_memory_path() -> PathBuf {
    PathBuf::from("(in memory)")
}
