//! fjall, a log-structured merge tree, kept on a short leash (see `ENGINE.md`).
//!
//! Left alone it buffers without bound when its workers cannot follow, waits for
//! ever on a worker that died, and gives space back late. So before each commit
//! this module waits itself, while it can still see a failure; it seals buffers
//! by size; and it drops whole files below what is still stored.

use std::{
    fs::{self, File},
    io::Write as _,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use fjall::{
    AbstractTree as _, Database, Keyspace, KeyspaceCreateOptions, PersistMode,
    config::{BlockSizePolicy, FilterPolicy, PartitioningPolicy, PinningPolicy},
};

use super::{Backend, Changes, Durability, Entry, Failure, Open, Space};
use crate::StoreError;

/// The layout of the keys and values; raised when it changes.
const FORMAT: u32 = 1;
/// Outside the engine's folder: it is read before the engine touches anything.
const FORMAT_FILE: &str = "store.format";
const FOLDER: &str = "store";
const PROBE_FILE: &str = "store.probe";
/// What a new journal and a flush need at the least.
const PROBE_BYTES: usize = 1 << 20;

/// Blocks read from disk.
const CACHE: u64 = 16 << 20;
/// The engine's smallest: what is replayed at open.
const JOURNALS: u64 = 64 << 20;
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
    fn drop_files(&self, keyspace: &Keyspace, from: &[u8], to: &[u8]) -> Result<(), fjall::Error> {
        keyspace.tree.drop_range(from..to)?;
        // Dropped files are deleted when a buffer is sealed that has a later change.
        // It also carries the last deletions into a file, for the next time.
        let mut batch = self.database.batch().durability(Some(PersistMode::Buffer));
        batch.remove(keyspace, from);
        batch.commit()?;
        keyspace.rotate_memtable()?;
        Ok(())
    }

    fn write(&self, changes: Changes, durability: Durability) -> Result<(), fjall::Error> {
        self.wait_for_room()?;
        let persist = match durability {
            Durability::Process => PersistMode::Buffer,
            Durability::Power => PersistMode::SyncData,
        };
        let mut batch = self.database.batch().durability(Some(persist));
        for ((space, key), value) in changes {
            match value {
                Some(value) => batch.insert(self.keyspace(space), key, value),
                None => batch.remove(self.keyspace(space), key),
            }
        }
        batch.commit()
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
        self.write(changes, durability).map_err(Failure::new)?;
        // The commit has happened: what fails from here on is the next one's matter.
        if let Err(error) = self.seal_full_buffers() {
            tracing::warn!(%error, "a buffer of the store could not be sealed");
        }
        Ok(())
    }

    fn sync(&mut self) -> Result<(), Failure> {
        self.database.persist(PersistMode::SyncData).map_err(Failure::new)
    }

    fn reclaim(&mut self, space: Space, from: &[u8], to: &[u8]) -> Result<(), Failure> {
        if from >= to {
            return Ok(());
        }
        self.drop_files(self.keyspace(space), from, to).map_err(Failure::new)
    }
}

/// Opens the engine in a data directory.
pub(crate) struct OpenEngine {
    data_dir: PathBuf,
}

impl OpenEngine {
    /// # Errors
    /// When the directory cannot be created.
    pub(crate) fn new(data_dir: &Path) -> Result<Self, StoreError> {
        let opener = Self { data_dir: data_dir.to_owned() };
        fs::create_dir_all(data_dir).map_err(|error| opener.unusable(error))?;
        Ok(opener)
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.data_dir.join(FOLDER)
    }

    fn unusable(&self, error: std::io::Error) -> StoreError {
        StoreError::DataDir { path: self.data_dir.clone(), source: Arc::new(error) }
    }

    fn check_format(&self) -> Result<(), StoreError> {
        let path = self.data_dir.join(FORMAT_FILE);
        let found = match fs::read_to_string(&path) {
            Ok(found) => found,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return fs::write(&path, FORMAT.to_string()).map_err(|error| self.unusable(error));
            }
            Err(error) => return Err(self.unusable(error)),
        };
        // Empty when the first start found the disk full.
        match found.trim().parse::<u32>() {
            Ok(FORMAT) => Ok(()),
            Err(_) if found.is_empty() => {
                fs::write(&path, FORMAT.to_string()).map_err(|error| self.unusable(error))
            }
            found => {
                let found = found.unwrap_or(u32::MAX);
                Err(StoreError::Format { path, found, supported: FORMAT })
            }
        }
    }

    fn open_engine(&self) -> Result<Engine, fjall::Error> {
        let database = Database::builder(self.path())
            .cache_size(CACHE)
            .max_journaling_size(JOURNALS)
            .manual_journal_persist(true)
            // One flushes while the other sorts.
            .worker_threads(2)
            .open()?;
        let state = database.keyspace("state", options)?;
        let records = database.keyspace("records", records_options)?;
        let letters = database.keyspace("letters", records_options)?;
        Ok(Engine { database, state, records, letters })
    }

    fn probe(&self) -> std::io::Result<()> {
        let path = self.data_dir.join(PROBE_FILE);
        let mut file = File::create(&path)?;
        let written = file.write_all(&vec![0; PROBE_BYTES]).and_then(|()| file.sync_all());
        drop(file);
        fs::remove_file(&path)?;
        written
    }
}

fn options() -> KeyspaceCreateOptions {
    // Larger than ours, so that the buffers are sealed here, where it can be seen.
    KeyspaceCreateOptions::default().max_memtable_size(2 * BUFFER).manual_journal_persist(true)
}

/// Read in ranges, never by single key: no filters; large blocks, so that their
/// index is small and stays in memory (about 8 MiB for 10 GiB).
fn records_options() -> KeyspaceCreateOptions {
    options()
        .filter_policy(FilterPolicy::disabled())
        .data_block_size_policy(BlockSizePolicy::all(32 << 10))
        .index_block_pinning_policy(PinningPolicy::all(true))
        .index_block_partitioning_policy(PartitioningPolicy::all(false))
}

impl Open for OpenEngine {
    fn open(&self) -> Result<Box<dyn Backend>, StoreError> {
        self.check_format()?;
        match self.open_engine() {
            Ok(engine) => Ok(Box::new(engine)),
            Err(fjall::Error::Locked) => Err(StoreError::InUse { path: self.path() }),
            Err(error) => Err(Failure::new(error).at(&self.path())),
        }
    }

    fn worth_trying(&self) -> bool {
        self.probe().is_ok()
    }
}
