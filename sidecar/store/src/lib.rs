//! What the sidecar keeps across restarts.
//!
//! One embedded, crash-safe database in the data directory holds the inboxes of
//! sink connectors, the local copies of their dead letters, what is suspected of
//! killing workers, the positions and epochs of source connectors, the ids of
//! Danube consumers, and the last contiguous offset of every subscribed partition.
//! Which database that is stays inside this crate; why, is in `ENGINE.md`.
//!
//! Every method returns after its change is written: a kill of the process right
//! after it loses nothing. All but appends, resolutions and suspicions are also
//! fsynced by then; those are within a second, appends earlier where the inbox is
//! told so. Methods called at the same time share one commit. A dropped future
//! does not take back a change that was already handed over.
//!
//! After a failure of the disk callers get transient errors, and the database is
//! opened again when that has a chance.

mod backend;
mod checkpoints;
mod clock;
mod commit;
mod consumers;
mod error;
mod estate;
mod faults;
mod holdings;
mod inbox;
mod keys;
mod letters;
mod loss;
mod panics;
mod positions;
mod rescue;
mod room;
mod suspicions;
#[cfg(test)]
mod tests;
mod transaction;
mod writer;

use std::{path::Path, sync::Arc};

pub use checkpoints::{
    Checkpoint, CheckpointError, Checkpoints, LocationError, ObjectCheckpoints, ObjectLocation,
};
use clock::Clock;
pub use error::StoreError;
pub use estate::{Discarded, Estate};
pub use faults::{Call, Faults, Moment};
pub use holdings::Holdings;
pub use inbox::{AppendedAt, Entry, Inbox, InboxSettings, InboxUsage, ReplayFrom};
pub use letters::{Letter, LetterFilter, LetterSettings, Letters, LettersUsage, NewLetter};
pub use loss::{ConnectorLoss, Damage, Loss};
pub use positions::{MAX_POSITION_BYTES, Position};
pub use rescue::{Checked, Left, Repaired, check, export, repair};
use writer::Writer;

/// The sidecar's store. Cheap to clone; the database is closed, and may be
/// opened again, when the last clone and what was made of it are dropped.
#[derive(Clone)]
pub struct Store {
    writer: Arc<Writer>,
}

impl Store {
    /// Opens the store in `data_dir`, creating both as needed.
    ///
    /// # Errors
    /// When the directory cannot be used, another process holds the store, or it
    /// was written by a newer version.
    pub fn open(data_dir: &Path) -> Result<Self, StoreError> {
        Ok(Self { writer: Arc::new(Writer::open(data_dir, Clock::system())?) })
    }

    /// Like [`open`](Self::open), with a clock that tells milliseconds since the
    /// Unix epoch.
    ///
    /// # Errors
    /// As `open`.
    pub fn open_at(
        data_dir: &Path,
        now_ms: impl Fn() -> i64 + Send + Sync + 'static,
    ) -> Result<Self, StoreError> {
        Ok(Self { writer: Arc::new(Writer::open(data_dir, Clock::new(now_ms))?) })
    }

    /// A store that forgets everything when it is dropped: no files, no threads.
    ///
    /// # Errors
    /// None so far.
    pub fn in_memory() -> Result<Self, StoreError> {
        Ok(Self { writer: Arc::new(Writer::in_memory(Clock::system(), None)?) })
    }

    /// Like [`in_memory`](Self::in_memory), with what a test wants to go wrong.
    ///
    /// # Errors
    /// None so far.
    pub fn in_memory_with(faults: impl Faults + 'static) -> Result<Self, StoreError> {
        let faults: Arc<dyn Faults> = Arc::new(faults);
        Ok(Self { writer: Arc::new(Writer::in_memory(Clock::system(), Some(faults))?) })
    }

    /// Like [`in_memory`](Self::in_memory), with a clock that tells milliseconds
    /// since the Unix epoch.
    ///
    /// # Errors
    /// None so far.
    pub fn in_memory_at(
        now_ms: impl Fn() -> i64 + Send + Sync + 'static,
    ) -> Result<Self, StoreError> {
        Ok(Self { writer: Arc::new(Writer::in_memory(Clock::new(now_ms), None)?) })
    }
}

impl Store {
    /// Comes back when the store's thread has ended, which it does only by a panic
    /// that it could not survive: then nothing but a restart of the process helps.
    pub async fn ended(&self) {
        self.writer.ended().await;
    }
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store").field("path", &self.writer.path()).finish()
    }
}
