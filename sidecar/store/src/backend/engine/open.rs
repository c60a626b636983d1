//! Opens the engine in a data directory, after a look at what is there.

use std::{
    fs::{self, File},
    io::Write as _,
    path::{Path, PathBuf},
    sync::Arc,
};

use fjall::{
    Database, Keyspace, KeyspaceCreateOptions,
    config::{BlockSizePolicy, FilterPolicy, PartitioningPolicy, PinningPolicy},
};

use super::{
    BUFFER, Engine,
    disk::DataDir,
    log::Log,
    rescue::{self, Remains},
    spares::Spares,
    stamp::{self, Stamp},
    survey::{Examined, Obstacle, ends_early, examine, survey},
    totals,
    witness::{self, Words},
};
use crate::{
    StoreError,
    backend::{Backend, Entry, Failure, Open, Space},
    room::Disk,
};

/// The layout of the keys and values, and of the files beside the engine's; raised when
/// it changes.
const FORMAT: u32 = 2;
/// Without numbered commits and their witness.
const WITHOUT_WITNESS: u32 = 1;
/// Outside the engine's folder: it is read before the engine touches anything.
const FORMAT_FILE: &str = "store.format";
const FOLDER: &str = "store";
const WITNESS_FILE: &str = "store.witness";
const SPARES_FOLDER: &str = "store.journals";
const PROBE_FILE: &str = "store.probe";
/// What a new journal and a flush need at the least.
const PROBE_BYTES: usize = 1 << 20;

/// Blocks read from disk.
const CACHE: u64 = 16 << 20;
/// The engine's smallest: what is replayed at open.
const JOURNALS: u64 = 64 << 20;

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

    /// # Errors
    /// When there is no such directory.
    pub(crate) fn existing(data_dir: &Path) -> Result<Self, StoreError> {
        let opener = Self { data_dir: data_dir.to_owned() };
        fs::read_dir(data_dir).map_err(|error| opener.unusable(error))?;
        Ok(opener)
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.data_dir.join(FOLDER)
    }

    fn unusable(&self, error: std::io::Error) -> StoreError {
        StoreError::DataDir { path: self.data_dir.clone(), source: Arc::new(error) }
    }

    /// The format that the files have; ours where there are none.
    fn format(&self) -> Result<u32, StoreError> {
        let path = self.data_dir.join(FORMAT_FILE);
        let found = match fs::read_to_string(&path) {
            Ok(found) => found,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(FORMAT),
            Err(error) => return Err(self.unusable(error)),
        };
        match found.trim().parse::<u32>() {
            Ok(found @ (FORMAT | WITHOUT_WITNESS)) => Ok(found),
            // When the first start found the disk full.
            Err(_) if found.is_empty() => Ok(FORMAT),
            found => {
                let found = found.unwrap_or(u32::MAX);
                Err(StoreError::Format { path, found, supported: FORMAT })
            }
        }
    }

    fn obstacle(&self, obstacle: Obstacle) -> StoreError {
        match obstacle {
            Obstacle::InUse => StoreError::InUse { path: self.path() },
            Obstacle::System(error) => Failure::new(error).at(&self.path()),
            Obstacle::Lost(loss) => {
                let data_dir = self.data_dir.clone();
                StoreError::Lost { data_dir, loss: Arc::new(loss) }
            }
        }
    }

    fn failed(&self, error: fjall::Error) -> StoreError {
        match error {
            fjall::Error::Locked => StoreError::InUse { path: self.path() },
            error => Failure::new(error).at(&self.path()),
        }
    }

    /// Looks at the files, lets the engine open them, and asks it for the last commit.
    fn open_engine(&self, format: u32, without_log: bool) -> Result<Engine, StoreError> {
        let witness = self.data_dir.join(WITNESS_FILE);
        let (spares, words) = self.parts()?;
        let logged = survey(&self.path(), &spares, words.as_ref());
        let logged = logged.map_err(|obstacle| self.obstacle(obstacle))?;
        if without_log {
            spares.begin_next().map_err(|error| self.unusable(error))?;
        }
        let keyspaces = Keyspaces::open(&self.path()).map_err(|error| self.failed(error))?;
        let last = keyspaces.last().map_err(|error| self.failed(error))?;
        let needed = words.as_ref().map_or(0, |words| words.acknowledged().number);
        if last < needed.max(logged.unwrap_or_default()) {
            let words = words.unwrap_or_default();
            let found = keyspaces.totals(&words).map_err(|error| self.failed(error))?;
            return Err(self.obstacle(ends_early(self.path(), last, &words, &found)));
        }
        if words.is_none() && format == FORMAT && last > 0 {
            tracing::warn!(
                witness = %witness.display(),
                "the store's witness is missing or damaged: nobody can tell whether its log ends \
                 early; a new one begins"
            );
        }
        let mut words = words.unwrap_or_default();
        words.keyspaces = keyspaces.numbers();
        let log = Log::begin(witness, spares, words, last);
        let log = log.map_err(|error| self.unusable(error))?;
        fs::write(self.data_dir.join(FORMAT_FILE), FORMAT.to_string())
            .map_err(|error| self.unusable(error))?;
        Ok(keyspaces.with(log))
    }

    /// Everything that is wrong with the files; reads all of them and changes none.
    pub(crate) fn examine(&self) -> Result<Examined, StoreError> {
        let (spares, words) = self.parts()?;
        examine(&self.path(), &spares, words.as_ref()).map_err(|obstacle| self.obstacle(obstacle))
    }

    /// What is left of the store, copied into a folder and open.
    pub(crate) fn remains(&self, into: &Path) -> Result<Remains, StoreError> {
        let (spares, words) = self.parts()?;
        let keyspaces = rescue::copy(&self.path(), &spares, into);
        let keyspaces = keyspaces.map_err(|error| Failure::new(error).at(&self.path()))?;
        Ok(Remains { keyspaces, words: words.unwrap_or_default() })
    }

    /// Puts the store that `other` made into the place of this one, whose files go into
    /// `aside`. Until the last step a start is refused: the old witness is in place.
    pub(crate) fn replace_by(&self, other: &Self, aside: &Path) -> Result<(), StoreError> {
        let replace = || {
            fs::create_dir_all(aside)?;
            for folder in [FOLDER, SPARES_FOLDER] {
                let ours = self.data_dir.join(folder);
                if ours.exists() {
                    fs::rename(&ours, aside.join(folder))?;
                }
                fs::rename(other.data_dir.join(folder), ours)?;
            }
            let witness = self.data_dir.join(WITNESS_FILE);
            if witness.exists() {
                fs::hard_link(&witness, aside.join(WITNESS_FILE))?;
            }
            fs::rename(other.data_dir.join(FORMAT_FILE), self.data_dir.join(FORMAT_FILE))?;
            fs::rename(other.data_dir.join(WITNESS_FILE), witness)?;
            File::open(&self.data_dir)?.sync_all()
        };
        replace().map_err(|error| self.unusable(error))
    }

    fn parts(&self) -> Result<(Spares, Option<Words>), StoreError> {
        let spares = Spares::new(self.path(), self.data_dir.join(SPARES_FOLDER));
        let words = witness::read(&self.data_dir.join(WITNESS_FILE));
        Ok((spares, words.map_err(|error| self.unusable(error))?))
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

/// The engine, open.
pub(super) struct Keyspaces {
    database: Database,
    state: Keyspace,
    records: Keyspace,
    letters: Keyspace,
}

impl Keyspaces {
    pub(super) fn open(path: &Path) -> Result<Self, fjall::Error> {
        let database = Database::builder(path)
            .cache_size(CACHE)
            .max_journaling_size(JOURNALS)
            .manual_journal_persist(true)
            // One flushes while the other sorts.
            .worker_threads(2)
            .open()?;
        let state = database.keyspace("state", options)?;
        let records = database.keyspace("records", records_options)?;
        let letters = database.keyspace("letters", records_options)?;
        Ok(Self { database, state, records, letters })
    }

    /// The last commit's number; 0 before the first.
    fn last(&self) -> Result<u64, fjall::Error> {
        let stamp = self.state.get(stamp::KEY)?;
        Ok(stamp.and_then(|stamp| Stamp::decode(&stamp)).map_or(0, |stamp| stamp.number))
    }

    /// What there is of the totals that the witness knows.
    fn totals(&self, words: &Words) -> Result<totals::Found, fjall::Error> {
        let mut found = totals::Found::default();
        for total in &words.totals {
            if let Some(value) = self.state.get(&total.key)? {
                found.insert(&total.key, &value);
            }
        }
        Ok(found)
    }

    /// The engine's numbers of the key spaces, with that of its own, which names them.
    pub(super) fn numbers(&self) -> Vec<u64> {
        vec![0, self.state.id(), self.records.id(), self.letters.id()]
    }

    /// All entries of a space from a key on; an error where a block cannot be read.
    pub(super) fn range<'a>(
        &'a self,
        space: Space,
        from: &[u8],
    ) -> impl Iterator<Item = Result<Entry, Failure>> + use<'a> {
        let keyspace = match space {
            Space::State => &self.state,
            Space::Records => &self.records,
            Space::Letters => &self.letters,
        };
        keyspace.range(from..).map(|entry| {
            let (key, value) = entry.into_inner().map_err(Failure::new)?;
            Ok((key.into(), value.into()))
        })
    }

    fn with(self, log: Log) -> Engine {
        let Self { database, state, records, letters } = self;
        Engine { database, state, records, letters, log }
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
        let format = self.format()?;
        Ok(Box::new(self.open_engine(format, false)?))
    }

    fn open_without_log(&self) -> Result<Box<dyn Backend>, StoreError> {
        let format = self.format()?;
        Ok(Box::new(self.open_engine(format, true)?))
    }

    fn disk(&self) -> Option<Box<dyn Disk>> {
        Some(Box::new(DataDir(self.data_dir.clone())))
    }

    fn worth_trying(&self) -> bool {
        self.probe().is_ok()
    }
}
