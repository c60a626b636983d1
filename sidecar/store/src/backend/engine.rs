//! fjall, a log-structured merge tree, kept on a short leash (see `ENGINE.md`).
//!
//! Left alone it buffers without bound when its workers cannot follow, waits for
//! ever on a worker that died, and gives space back late. So before each commit
//! this module waits itself, while it can still see a failure; it seals buffers
//! by size; and it drops whole files below what is still stored.

mod disk;
mod journal;
mod log;
mod manifest;
mod open;
mod rescue;
mod spares;
mod stamp;
mod survey;
mod totals;
mod witness;

use std::time::Duration;

use bytes::Bytes;
use fjall::{AbstractTree as _, Database, Keyspace, PersistMode};

use self::log::Log;
pub(crate) use self::{open::OpenEngine, rescue::Remains, survey::Examined};
use super::{Backend, Changes, Durability, Entry, Failure, Space};

/// A buffer is sealed and written out at this size; up to [`SEALED`] wait.
const BUFFER: u64 = 16 << 20;
const SEALED: usize = 2;
/// The engine stalls at 20 unsorted files, and stops at 30.
const UNSORTED: usize = 14;
/// How often a full buffer is looked at again.
const PAUSE: Duration = Duration::from_millis(1);

pub(crate) struct Engine {
    database: Database,
    state: Keyspace,
    records: Keyspace,
    letters: Keyspace,
    log: Log,
}

impl Engine {
    fn keyspace(&self, space: Space) -> &Keyspace {
        match space {
            Space::State => &self.state,
            Space::Records => &self.records,
            Space::Letters => &self.letters,
        }
    }

    fn keyspaces(&self) -> [&Keyspace; 3] {
        [&self.state, &self.records, &self.letters]
    }

    /// Waits until the workers have caught up; an error when they died instead.
    fn wait_for_room(&self) -> Result<(), fjall::Error> {
        for keyspace in self.keyspaces() {
            while keyspace.sealed_memtable_count() >= SEALED
                || keyspace.l0_table_count() >= UNSORTED
            {
                // Nothing is written by it; it tells whether a worker has failed.
                self.database.persist(PersistMode::Buffer)?;
                // The engine gives no notice of it.
                std::thread::park_timeout(PAUSE);
            }
        }
        Ok(())
    }

    fn seal_full_buffers(&self) -> Result<(), fjall::Error> {
        for keyspace in self.keyspaces() {
            if keyspace.tree.active_memtable().size() >= BUFFER {
                keyspace.rotate_memtable()?;
            }
        }
        Ok(())
    }

    /// Drops the files that lie in the range entirely.
    fn drop_files(&mut self, space: Space, from: &[u8], to: &[u8]) -> Result<(), Failure> {
        self.keyspace(space).tree.drop_range(from..to).map_err(Failure::new)?;
        // Dropped files are deleted when a buffer is sealed that has a later change.
        // It also carries the last deletions into a file, for the next time.
        let change = ((space, Bytes::copy_from_slice(from)), None);
        self.write(Changes::from([change]), Durability::Process)?;
        self.keyspace(space).rotate_memtable().map_err(Failure::new)?;
        Ok(())
    }

    fn write(&mut self, changes: Changes, durability: Durability) -> Result<(), Failure> {
        self.wait_for_room().map_err(Failure::new)?;
        let persist = match durability {
            Durability::Process => PersistMode::Buffer,
            Durability::Power => PersistMode::SyncData,
        };
        let mut batch = self.database.batch().durability(Some(persist));
        batch.insert(&self.state, stamp::KEY, self.log.next(&self.database).encode());
        for ((space, key), value) in changes {
            if let (Space::State, Some(value)) = (space, &value) {
                self.log.note(&key, value);
            }
            match value {
                Some(value) => batch.insert(self.keyspace(space), key, value),
                None => batch.remove(self.keyspace(space), key),
            }
        }
        batch.commit().map_err(Failure::new)?;
        self.log.committed(&self.database, durability).map_err(Failure::new)
    }
}

impl Backend for Engine {
    fn value(&self, space: Space, key: &[u8]) -> Result<Option<Bytes>, Failure> {
        let value = self.keyspace(space).get(key).map_err(Failure::new)?;
        Ok(value.map(Bytes::from))
    }

    fn range<'a>(
        &'a self,
        space: Space,
        from: &[u8],
        to: &[u8],
    ) -> Box<dyn Iterator<Item = Result<Entry, Failure>> + 'a> {
        if from >= to {
            return Box::new(std::iter::empty());
        }
        Box::new(self.keyspace(space).range(from..to).map(|entry| {
            let (key, value) = entry.into_inner().map_err(Failure::new)?;
            Ok((key.into(), value.into()))
        }))
    }

    fn commit(&mut self, changes: Changes, durability: Durability) -> Result<(), Failure> {
        self.write(changes, durability)?;
        // The commit has happened: what fails from here on is the next one's matter.
        if let Err(error) = self.seal_full_buffers() {
            tracing::warn!(%error, "a buffer of the store could not be sealed");
        }
        Ok(())
    }

    fn sync(&mut self) -> Result<(), Failure> {
        self.database.persist(PersistMode::SyncData).map_err(Failure::new)?;
        self.log.synced().map_err(Failure::new)
    }

    fn unwritten(&self) -> u64 {
        self.database.write_buffer_size()
    }

    fn log_bytes(&self) -> u64 {
        self.log.bytes()
    }

    fn settled(&self) -> bool {
        self.log.is_settled(&self.database)
    }

    fn reclaim(&mut self, space: Space, from: &[u8], to: &[u8]) -> Result<(), Failure> {
        if from >= to {
            return Ok(());
        }
        self.drop_files(space, from, to)
    }
}
