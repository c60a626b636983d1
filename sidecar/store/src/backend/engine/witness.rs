//! What was acknowledged, written down outside the engine's files: a second witness,
//! so that the engine's log cannot end earlier without notice.
//!
//! **Architecture invariant:** the witness is written after the commit that it tells of,
//! and before anybody hears of that commit. So it is never ahead of the log in the memory
//! of the operating system: a kill makes no false alarm. A loss of power may keep the
//! witness and not the log; then only what had been fsynced before counts, which stands
//! apart, and the id of the boot tells which of them counts.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
};

use prost::Message as _;
use xxhash_rust::xxh3::xxh3_64;

/// Two of them; the older one is overwritten.
const SLOT: usize = 4096;
/// Length and checksum of the words.
const HEADER: usize = 12;
/// Most bytes of totals; what is beyond is not told when it is lost.
const TOTALS: usize = SLOT / 2;

/// How far the log was once known to go.
#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
pub(super) struct Point {
    /// Of the last commit.
    #[prost(uint64, tag = "1")]
    pub(super) number: u64,
    /// No journal before this one holds it.
    #[prost(uint64, tag = "2")]
    pub(super) journal: u64,
}

/// What an inbox, or the dead letters of a connector, add up to.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Total {
    #[prost(bytes = "bytes", tag = "1")]
    pub(super) key: bytes::Bytes,
    #[prost(bytes = "bytes", tag = "2")]
    pub(super) value: bytes::Bytes,
}

/// What the witness says.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Words {
    /// The greater one counts.
    #[prost(uint64, tag = "1")]
    generation: u64,
    /// Which life of the machine `written` belongs to.
    #[prost(string, tag = "2")]
    boot: String,
    /// Written to the operating system.
    #[prost(message, required, tag = "3")]
    pub(super) written: Point,
    /// Known to survive a loss of power.
    #[prost(message, required, tag = "4")]
    pub(super) synced: Point,
    /// The engine's own number of the last commit is below it.
    #[prost(uint64, tag = "5")]
    pub(super) ceiling: u64,
    /// The first journal that is needed; `None` where nobody watches them.
    #[prost(uint64, optional, tag = "6")]
    pub(super) first_journal: Option<u64>,
    /// The first commit in it, where that is known.
    #[prost(uint64, optional, tag = "9")]
    pub(super) first_number: Option<u64>,
    /// The key spaces that there are, by the engine's numbers.
    #[prost(uint64, repeated, tag = "7")]
    pub(super) keyspaces: Vec<u64>,
    #[prost(message, repeated, tag = "8")]
    pub(super) totals: Vec<Total>,
}

impl Words {
    /// What the log must reach at the least.
    pub(super) fn acknowledged(&self) -> Point {
        let same_life = boot().is_some_and(|boot| boot == self.boot);
        if same_life { self.written } else { self.synced }
    }

    pub(super) fn note_total(&mut self, key: bytes::Bytes, value: bytes::Bytes) {
        if let Some(total) = self.totals.iter_mut().find(|total| total.key == key) {
            total.value = value;
            return;
        }
        let used: usize = self.totals.iter().map(|total| total.encoded_len() + 3).sum();
        let total = Total { key, value };
        if used + total.encoded_len() + 16 <= TOTALS {
            self.totals.push(total);
        }
    }
}

/// The id of this life of the machine, where the system tells one.
fn boot() -> Option<String> {
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    Some(boot.trim().to_owned())
}

/// The file, open to be written.
#[derive(Debug)]
pub(super) struct Witness {
    file: File,
    pub(super) words: Words,
}

/// What the file in `path` says; `None` when there is none, or none that can be read.
pub(super) fn read(path: &Path) -> io::Result<Option<Words>> {
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    Ok(bytes.chunks(SLOT).filter_map(decode).max_by_key(|words| words.generation))
}

fn decode(slot: &[u8]) -> Option<Words> {
    let (length, rest) = slot.split_first_chunk()?;
    let (checksum, rest) = rest.split_first_chunk()?;
    let words = rest.get(..usize::try_from(u32::from_le_bytes(*length)).ok()?)?;
    let whole = !words.is_empty() && xxh3_64(words) == u64::from_le_bytes(*checksum);
    whole.then(|| Words::decode(words).ok()).flatten()
}

fn encode(words: &Words) -> Vec<u8> {
    let length = words.encoded_len();
    let mut slot = vec![0; HEADER];
    slot.reserve(length);
    words.encode(&mut slot).unwrap_or_default();
    let checksum = xxh3_64(&slot[HEADER..]);
    slot[..4].copy_from_slice(&(length as u32).to_le_bytes());
    slot[4..HEADER].copy_from_slice(&checksum.to_le_bytes());
    slot
}

impl Witness {
    /// Opens the file, or makes it: both slots have their room on the disk from then
    /// on, and a full disk keeps nobody from writing them.
    pub(super) fn open(path: PathBuf, words: Words) -> io::Result<Self> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        let mut file = options.open(&path)?;
        if file.metadata()?.len() < 2 * SLOT as u64 {
            file.write_all(&[0; 2 * SLOT])?;
        }
        let words = Words { boot: boot().unwrap_or_default(), ..words };
        let mut witness = Self { file, words };
        witness.write()?;
        witness.file.sync_all()?;
        if let Some(folder) = path.parent() {
            File::open(folder)?.sync_all()?;
        }
        Ok(witness)
    }

    /// Writes the words to the operating system.
    pub(super) fn write(&mut self) -> io::Result<()> {
        self.words.generation += 1;
        let slot = self.words.generation % 2 * SLOT as u64;
        self.file.write_all_at(&encode(&self.words), slot)
    }

    /// Makes what was written survive a loss of power.
    pub(super) fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn witness(path: &Path) -> Witness {
        Witness::open(path.to_owned(), Words::default()).unwrap()
    }

    #[test]
    fn what_was_said_last_is_read_and_one_damaged_byte_costs_one_word_at_most() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("witness");
        let mut witness = witness(&path);
        for number in 1..=9 {
            witness.words.written.number = number;
            witness.write().unwrap();
        }
        assert_eq!(read(&path).unwrap().unwrap().written.number, 9);
        let whole = fs::read(&path).unwrap();
        for at in 0..whole.len() {
            let mut damaged = whole.clone();
            damaged[at] ^= 1;
            fs::write(&path, &damaged).unwrap();
            let number = read(&path).unwrap().unwrap().written.number;
            assert!([8, 9].contains(&number), "byte {at}: {number}");
        }
    }

    #[test]
    fn after_another_boot_only_what_was_fsynced_counts() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("witness");
        let mut witness = witness(&path);
        witness.words.written.number = 9;
        witness.words.synced.number = 4;
        witness.write().unwrap();
        let mut words = read(&path).unwrap().unwrap();
        assert_eq!(words.acknowledged().number, 9);
        words.boot = "another".to_owned();
        assert_eq!(words.acknowledged().number, 4);
    }

    #[test]
    fn totals_never_outgrow_a_slot() {
        let mut words = Words::default();
        for connector in 0..1000_u32 {
            let key = format!("connector number {connector}").into();
            words.note_total(key, vec![7; 40].into());
        }
        assert!(encode(&words).len() < SLOT && words.totals.len() > 20);
    }
}
