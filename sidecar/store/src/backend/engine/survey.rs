//! Is everything there that was acknowledged? Asked before the engine touches a file,
//! because it deletes and cuts what it does not understand.
//!
//! **Architecture invariant:** nothing is cut that was acknowledged. Behind that there
//! may be a commit that a kill left half written, or several that a loss of power left in
//! pieces: these nobody was told of, or only for as long as the power lasts.

use std::{
    collections::BTreeSet,
    fs::{self, File, OpenOptions},
    io,
    path::{Path, PathBuf},
};

use super::{
    journal::Batch,
    manifest::{self, Unfit},
    spares::Spares,
    stamp::Stamp,
    totals::Found,
    witness::Words,
};
use crate::loss::{Damage, Loss};

/// The engine's names.
const VERSION: &str = "version";
const LOCK: &str = "lock";

/// Of the key spaces that are read from end to end at each start: what says which key
/// spaces there are, and the small things that all else stands on.
const READ_WHOLE: std::ops::RangeInclusive<u64> = 0..=1;

/// Why the engine is not to be started.
#[derive(Debug)]
pub(super) enum Obstacle {
    Lost(Loss),
    InUse,
    System(io::Error),
}

impl From<io::Error> for Obstacle {
    fn from(error: io::Error) -> Self {
        Self::System(error)
    }
}

impl From<Unfit> for Obstacle {
    fn from(Unfit { path, missing }: Unfit) -> Self {
        let damage = if missing { Damage::Missing } else { Damage::Damaged };
        Self::Lost(loss(path, None, damage))
    }
}

fn loss(file: PathBuf, offset: Option<usize>, damage: Damage) -> Loss {
    let offset = offset.map(|offset| offset as u64);
    Loss { file, offset, damage, commits: None, readable_behind: 0, connectors: Vec::new() }
}

/// The number of the last commit in the journals, where they hold one.
pub(super) fn survey(
    store: &Path,
    spares: &Spares,
    words: Option<&Words>,
) -> Result<Option<u64>, Obstacle> {
    if !fs::exists(store.join(VERSION))? {
        return nothing_there(store, spares, words).map(|()| None);
    }
    let _lock = lock(&store.join(LOCK))?;
    check_tables(store, words)?;
    if let Some(first) = words.and_then(|words| words.first_journal) {
        spares.restore(first)?;
    }
    let log = read_log(spares, words)?;
    log.judge(spares, words)?;
    log.cut(spares)?;
    Ok(log.last)
}

/// What a look at all files has found.
#[derive(Debug, Default)]
pub(crate) struct Examined {
    pub(crate) losses: Vec<Loss>,
    pub(crate) tables: u64,
    pub(crate) journals: u64,
    /// The number of the last commit that can be read in the journals.
    pub(crate) last: Option<u64>,
}

/// Reads everything, and changes nothing.
pub(super) fn examine(
    store: &Path,
    spares: &Spares,
    words: Option<&Words>,
) -> Result<Examined, Obstacle> {
    let mut examined = Examined::default();
    if !fs::exists(store.join(VERSION))? {
        examined.losses.push(loss(store.join(VERSION), None, Damage::Missing));
        return Ok(examined);
    }
    let _lock = lock(&store.join(LOCK))?;
    let known = words.map(|words| words.keyspaces.clone()).filter(|known| !known.is_empty());
    let lost = |Unfit { path, missing }| {
        loss(path, None, if missing { Damage::Missing } else { Damage::Damaged })
    };
    for keyspace in known.map_or_else(|| manifest::keyspaces(store), Ok)? {
        match manifest::tables(store, keyspace) {
            Ok(tables) => {
                examined.tables += tables.len() as u64;
                let unfit = tables.iter().filter_map(|table| manifest::check(table).err());
                examined.losses.extend(unfit.map(lost));
            }
            Err(unfit) => examined.losses.push(lost(unfit)),
        }
    }
    let log = read_log(spares, words)?;
    examined.journals = log.journals.len() as u64;
    examined.last = log.last;
    match log.judge(spares, words) {
        Err(Obstacle::Lost(loss)) => examined.losses.push(loss),
        judged => judged?,
    }
    Ok(examined)
}

/// The engine is open, and has not all that the witness knows of.
pub(super) fn ends_early(store: PathBuf, last: u64, words: &Words, found: &Found) -> Obstacle {
    let mut loss = loss(store, None, Damage::EndsEarly);
    loss.commits = Some((last + 1, words.written.number)).filter(|(first, last)| first <= last);
    loss.connectors = found.missing(words);
    Obstacle::Lost(loss)
}

/// The engine would make a new store.
fn nothing_there(store: &Path, spares: &Spares, words: Option<&Words>) -> Result<(), Obstacle> {
    let has_bytes = |number: &u64| {
        let bytes = fs::read(spares.journal(*number));
        bytes.is_ok_and(|bytes| bytes.iter().any(|byte| *byte != 0))
    };
    if words.is_some() || spares.journals()?.iter().any(has_bytes) {
        return Err(Obstacle::Lost(loss(store.join(VERSION), None, Damage::Missing)));
    }
    // One that died before it had been made would be in the way for ever.
    match fs::remove_dir_all(store) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => Ok(removed?),
    }
}

/// Keeps others away as long as it lives; the engine takes it afterwards.
fn lock(path: &Path) -> Result<File, Obstacle> {
    let mut options = OpenOptions::new();
    let file = options.read(true).write(true).create(true).truncate(false).open(path)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(fs::TryLockError::WouldBlock) => Err(Obstacle::InUse),
        Err(fs::TryLockError::Error(error)) => Err(error.into()),
    }
}

fn check_tables(store: &Path, words: Option<&Words>) -> Result<(), Obstacle> {
    let known = words.map(|words| words.keyspaces.clone()).unwrap_or_default();
    let whole = !known.is_empty();
    let keyspaces = if whole { known } else { manifest::keyspaces(store)? };
    for keyspace in keyspaces {
        let tables = match manifest::tables(store, keyspace) {
            // A first start that was killed: the engine makes it anew.
            Err(unfit) if unfit.missing && !whole => continue,
            tables => tables?,
        };
        if READ_WHOLE.contains(&keyspace) {
            tables.iter().try_for_each(manifest::check)?;
        }
    }
    Ok(())
}

/// The journals one after the other, as far as they make sense, and what is behind.
#[derive(Debug, Default)]
struct Log {
    journals: BTreeSet<u64>,
    last: Option<u64>,
    hole: Option<Hole>,
    /// Where the commits of the last journal that was read end.
    end: (u64, usize),
    /// Of the totals in it the last ones.
    totals: Found,
}

/// Where the log ends, and something follows.
#[derive(Debug)]
struct Hole {
    journal: u64,
    at: usize,
    damage: Damage,
    /// Whole batches behind it, and the last one's number.
    behind: u64,
    last_behind: Option<u64>,
}

fn read_log(spares: &Spares, words: Option<&Words>) -> Result<Log, Obstacle> {
    let mut expected = words.and_then(|words| words.first_journal);
    let mut journals = spares.all()?;
    // The others the engine has let go of.
    if let Some(first) = expected {
        journals = journals.split_off(&first);
    }
    let mut log = Log { journals, ..Log::default() };
    log.end.0 = expected.unwrap_or_default();
    let mut reader = Reader { words, stamp: None, seqno: None, log };
    for journal in reader.log.journals.clone() {
        if let Some(missing) = expected.filter(|expected| *expected < journal) {
            reader.hole(missing, 0, Damage::Missing);
        }
        expected = Some(journal + 1);
        reader.read(journal, without_zeros(&fs::read(spares.present(journal))?));
    }
    Ok(reader.log)
}

/// A journal has its length from the start; no batch ends with a zero.
fn without_zeros(bytes: &[u8]) -> &[u8] {
    const ZEROS: [u8; 4096] = [0; 4096];
    let mut chunks = bytes.chunks(ZEROS.len());
    let last = chunks.rposition(|chunk| chunk != &ZEROS[..chunk.len()]);
    let length = last.map_or(0, |last| (last + 1) * ZEROS.len());
    &bytes[..length.min(bytes.len())]
}

struct Reader<'w> {
    words: Option<&'w Words>,
    /// Of the batch before.
    stamp: Option<Stamp>,
    seqno: Option<u64>,
    log: Log,
}

impl Reader<'_> {
    fn read(&mut self, journal: u64, bytes: &[u8]) {
        let mut at = 0;
        while self.log.hole.is_none() {
            match Batch::at(bytes, at) {
                Some(batch) if self.follows(&batch) => {
                    self.take(&batch);
                    at = batch.end;
                }
                // Whole, and not the next one: what is missing was before it.
                Some(batch) if batch.stamp().is_some() && at == 0 => {
                    let (before, end) = self.log.end;
                    self.hole(before, end, Damage::EndsEarly);
                }
                None if without_zeros(&bytes[at..]).is_empty() => {
                    self.log.end = (journal, at);
                    return;
                }
                _ => self.hole(journal, at, Damage::Damaged),
            }
        }
        while let Some(batch) = Batch::at(bytes, at).or_else(|| Batch::behind(bytes, at)) {
            at = batch.end;
            if let Some(hole) = &mut self.log.hole {
                hole.behind += 1;
                hole.last_behind = batch.stamp().map(|stamp| stamp.number).or(hole.last_behind);
            }
        }
    }

    /// The first one counts.
    fn hole(&mut self, journal: u64, at: usize, damage: Damage) {
        let hole = Hole { journal, at, damage, behind: 0, last_behind: None };
        self.log.hole.get_or_insert(hole);
    }

    /// Whether the batch is the next one, and its number the engine's.
    fn follows(&self, batch: &Batch<'_>) -> bool {
        let expected = match self.stamp {
            Some(last) => Some(last.number + 1),
            None => self.words.and_then(|words| words.first_journal.and(words.first_number)),
        };
        let Some(stamp) = batch.stamp() else { return expected.is_none() };
        let next = expected.is_none_or(|expected| stamp.number == expected);
        let after = self.seqno.is_none_or(|last| last < stamp.floor);
        let ceiling = self.words.filter(|words| words.written.number == stamp.number);
        let below = ceiling.is_none_or(|words| batch.seqno < words.ceiling);
        next && after && stamp.floor <= batch.seqno && below
    }

    fn take(&mut self, batch: &Batch<'_>) {
        self.stamp = batch.stamp().or(self.stamp);
        self.seqno = Some(batch.seqno);
        self.log.last = self.stamp.map(|stamp| stamp.number);
        self.log.totals.note(batch.items());
    }
}

impl Log {
    /// Whether all that was acknowledged comes before the hole, or the end.
    fn judge(&self, spares: &Spares, words: Option<&Words>) -> Result<(), Obstacle> {
        let Some(words) = words else {
            // Nobody knows what was acknowledged; but what is followed by something whole
            // was.
            let ended = self.hole.as_ref().filter(|hole| hole.behind > 0);
            return ended.map_or(Ok(()), |hole| Err(self.lost(spares, hole, None)));
        };
        let acknowledged = words.acknowledged();
        let reaches = match self.last {
            Some(last) => last >= acknowledged.number,
            // The tables must have it; that is asked when the engine is open.
            None => words.first_journal.is_none_or(|first| acknowledged.journal < first),
        };
        match &self.hole {
            // The first ones were needed, whatever else there is.
            Some(hole) if hole.damage != Damage::Damaged && self.last.is_none() => {
                Err(self.lost(spares, hole, Some(words)))
            }
            _ if reaches || acknowledged.number == 0 => Ok(()),
            Some(hole) => Err(self.lost(spares, hole, Some(words))),
            None => {
                let (journal, at) = self.end;
                let behind =
                    Hole { journal, at, damage: Damage::EndsEarly, behind: 0, last_behind: None };
                Err(self.lost(spares, &behind, Some(words)))
            }
        }
    }

    fn lost(&self, spares: &Spares, hole: &Hole, words: Option<&Words>) -> Obstacle {
        let offset = (hole.damage != Damage::Missing).then_some(hole.at);
        let mut loss = loss(spares.journal(hole.journal), offset, hole.damage);
        loss.readable_behind = hole.behind;
        let known = words.map(|words| words.written.number).max(hole.last_behind);
        let range = self.last.zip(known).map(|(last, known)| (last + 1, known));
        loss.commits = range.filter(|(first, last)| first <= last);
        loss.connectors = words.map(|words| self.totals.missing(words)).unwrap_or_default();
        Obstacle::Lost(loss)
    }

    /// Removes what is behind the last commit that counts: the engine would refuse some of
    /// it, and misunderstand the rest.
    fn cut(&self, spares: &Spares) -> io::Result<()> {
        let Some(hole) = &self.hole else { return Ok(()) };
        let path = spares.journal(hole.journal);
        tracing::info!(
            journal = %path.display(),
            at = hole.at,
            "the store's log ends in a commit that was not finished: it is cut there"
        );
        self.journals.range(hole.journal + 1..).try_for_each(|later| spares.remove(*later))?;
        if hole.damage == Damage::Missing {
            return Ok(());
        }
        let file = OpenOptions::new().write(true).open(path)?;
        file.set_len(hole.at as u64)?;
        file.sync_all()
    }
}
