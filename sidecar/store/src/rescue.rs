//! A store that does not open: what is wrong, what is left, and how it opens again.
//!
//! All three work on a store that no process has open. `check` and `export` change nothing
//! in it; `repair` moves its files aside and puts a new store into their place, with all
//! that could be read.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::Write,
    path::{Path, PathBuf},
    sync::Arc,
};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use bytes::Bytes;
use serde_json::{Value, json};

use crate::{
    Letter, Loss, Position, StoreError,
    backend::{
        Backend, Changes, Durability, Entry, Failure, Open as _, Space,
        engine::{Examined, OpenEngine, Remains},
    },
    inbox,
    keys::{Table, last_number},
    letters, positions,
};

/// Where the copy is made, and the new store.
const COPY: &str = "store.rescue";
const NEW: &str = "store.rescued";
/// Written together.
const BATCH: usize = 4 << 20;

/// What a look at all files has found.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Checked {
    /// What is missing or damaged; nothing: the store is whole.
    pub losses: Vec<Loss>,
    /// Files of sorted entries that were read.
    pub tables: u64,
    /// Journals that were read.
    pub journals: u64,
    /// The last commit that the journals have.
    pub last_commit: Option<u64>,
}

/// What could be read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Left {
    /// Records of inboxes, those that are only retained too.
    pub records: u64,
    /// Dead letters.
    pub letters: u64,
    /// Positions of sources.
    pub positions: u64,
    /// Places between them where something could not be read.
    pub gaps: u64,
}

/// What a repair has done.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Repaired {
    /// What was wrong, and is given up now.
    pub losses: Vec<Loss>,
    /// What the store has.
    pub left: Left,
    /// Where the damaged files are kept.
    pub aside: PathBuf,
}

/// Reads everything, and tells what is wrong.
///
/// # Errors
/// When the directory cannot be read, or another process has the store.
pub fn check(data_dir: &Path) -> Result<Checked, StoreError> {
    let Examined { losses, tables, journals, last } = OpenEngine::existing(data_dir)?.examine()?;
    Ok(Checked { losses, tables, journals, last_commit: last })
}

/// Writes what can be read as lines of JSON: records, dead letters, positions. Needs room
/// for a copy of the journals, in the data directory.
///
/// # Errors
/// When nothing can be read, or `out` cannot be written.
pub fn export(data_dir: &Path, out: &mut dyn Write) -> Result<Left, StoreError> {
    let opener = OpenEngine::existing(data_dir)?;
    drop(opener.examine()?);
    let copy = Scratch(data_dir.join(COPY));
    let remains = opener.remains(&copy.0)?;
    let failed = |error| StoreError::DataDir { path: data_dir.into(), source: Arc::new(error) };
    let mut left = Left::default();
    for space in [Space::State, Space::Records, Space::Letters] {
        left.gaps += remains
            .entries(space, |entry| match left.count(space, &entry) {
                Some(line) => writeln!(out, "{line}"),
                None => Ok(()),
            })
            .map_err(failed)?;
    }
    Ok(left)
}

/// Accepts the loss: makes a new store of what can be read, puts it into the place of the
/// damaged one, and keeps that aside in a folder named after `now_ms`. Needs room for what
/// is left once more.
///
/// # Errors
/// When nothing can be read or written; the damaged store is in its place then.
pub fn repair(data_dir: &Path, now_ms: i64) -> Result<Repaired, StoreError> {
    let opener = OpenEngine::existing(data_dir)?;
    let losses = opener.examine()?.losses;
    let (copy, new) = (Scratch(data_dir.join(COPY)), Scratch(data_dir.join(NEW)));
    let remains = opener.remains(&copy.0)?;
    let left = {
        _ = fs::remove_dir_all(&new.0);
        let failed = |failure: Failure| failure.at(&new.0);
        let mut fresh = OpenEngine::new(&new.0)?.open()?;
        let left = refill(&remains, &mut *fresh).map_err(failed)?;
        recount(&remains, &mut *fresh).map_err(failed)?;
        fresh.sync().map_err(failed)?;
        left
    };
    drop(remains);
    let aside = data_dir.join(format!("store.damaged-{now_ms}"));
    opener.replace_by(&OpenEngine::existing(&new.0)?, &aside)?;
    Ok(Repaired { losses, left, aside })
}

/// A folder that goes when the work is done.
struct Scratch(PathBuf);

impl Drop for Scratch {
    fn drop(&mut self) {
        _ = fs::remove_dir_all(&self.0);
    }
}

fn refill(remains: &Remains, fresh: &mut dyn Backend) -> Result<Left, Failure> {
    let mut left = Left::default();
    let (mut changes, mut bytes) = (Changes::new(), 0);
    for space in [Space::State, Space::Records, Space::Letters] {
        left.gaps += remains.entries(space, |(key, value)| {
            left.count(space, &(key.clone(), value.clone()));
            bytes += key.len() + value.len();
            changes.insert((space, key), Some(value));
            if bytes < BATCH {
                return Ok(());
            }
            bytes = 0;
            fresh.commit(std::mem::take(&mut changes), Durability::Process)
        })?;
    }
    fresh.commit(changes, Durability::Process)?;
    Ok(left)
}

/// Counts anew what every connector has: the totals may be newer or older than that.
fn recount(remains: &Remains, fresh: &mut dyn Backend) -> Result<(), Failure> {
    let known: BTreeMap<&Bytes, &Bytes> = remains.known_totals().collect();
    let mut names = BTreeSet::new();
    let mut note = |table: Table, name: &[u8]| {
        names.insert([&[table as u8], name].concat());
    };
    known.keys().for_each(|key| names_of(key, &mut note));
    remains.entries(Space::State, |(key, _)| {
        names_of(&key, &mut note);
        Ok::<_, Failure>(())
    })?;
    for (space, table) in [(Space::Records, Table::Inboxes), (Space::Letters, Table::LetterTotals)]
    {
        remains.entries(space, |(key, _)| {
            key.len().checked_sub(8).into_iter().for_each(|end| note(table, &key[..end]));
            Ok::<_, Failure>(())
        })?;
    }
    let mut changes = Changes::new();
    for key in names {
        let known = known.get(&Bytes::copy_from_slice(&key)).map(|value| &value[..]);
        let counts = if key[0] == Table::Inboxes as u8 { inbox::recount } else { letters::recount };
        counts(fresh, &key[1..], known, &mut changes)?;
    }
    fresh.commit(changes, Durability::Power)
}

fn names_of(key: &[u8], note: &mut impl FnMut(Table, &[u8])) {
    for table in [Table::Inboxes, Table::LetterTotals] {
        if let Some((_, name)) = key.split_first().filter(|(first, _)| **first == table as u8) {
            note(table, name);
        }
    }
}

impl Left {
    /// Counts an entry, and gives the line that tells of it.
    fn count(&mut self, space: Space, (key, value): &Entry) -> Option<Value> {
        match space {
            Space::Records => {
                self.records += 1;
                let seq = last_number(key)?;
                let entry = inbox::decode(seq, value)?;
                Some(record_line(&connector(key)?.0, &entry))
            }
            Space::Letters => {
                self.letters += 1;
                let letter = letters::decode(last_number(key)?, value)?;
                Some(letter_line(&connector(key)?.0, &letter))
            }
            Space::State => {
                let (table, rest) = key.split_first()?;
                if *table != Table::Positions as u8 {
                    return None;
                }
                self.positions += 1;
                let (connector, rest) = connector(rest)?;
                Some(position_line(&connector, &positions::decode(rest, value)?))
            }
        }
    }
}

/// The connector that a key begins with, and what follows. One whose name is so long that
/// the key has only its hash is told as such.
fn connector(key: &[u8]) -> Option<(String, &[u8])> {
    let (length, rest) = key.split_first_chunk()?;
    let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
    match rest.split_at_checked(length) {
        Some((name, rest)) => Some((String::from_utf8_lossy(name).into_owned(), rest)),
        None => Some(("(a long name)".to_owned(), rest.get(16..)?)),
    }
}

fn record_line(connector: &str, entry: &inbox::Entry) -> Value {
    let record = &entry.record;
    let (name, payload) = text_or_base64(&record.payload);
    json!({
        "what": "record",
        "connector": connector,
        "number": entry.seq,
        "appended_ms": entry.appended_ms,
        "topic": &*record.topic,
        "subscription": &*record.subscription,
        "partition": &*record.identity.partition,
        "offset": record.identity.offset,
        "producer": &*record.identity.producer,
        "request_id": record.identity.request_id,
        "publish_time_ms": record.identity.publish_time_ms,
        "key": record.key.as_deref(),
        "attributes": record.attributes,
        name: payload,
    })
}

fn letter_line(connector: &str, letter: &Letter) -> Value {
    let kept = &letter.letter;
    let (name, payload) = text_or_base64(&kept.payload);
    json!({
        "what": "dead letter",
        "connector": connector,
        "number": letter.id,
        "kept_at_ms": letter.kept_at_ms,
        "published": letter.published,
        "dedup_id": kept.dedup_id,
        "topic": kept.topic,
        "subscription": kept.subscription,
        "partition": kept.partition,
        "offset": kept.offset,
        "key": kept.key,
        "attributes": kept.attributes,
        "class": kept.class,
        "code": kept.code,
        "reason": kept.reason,
        "attempt": kept.attempt,
        name: payload,
    })
}

fn position_line(connector: &str, position: &Position) -> Value {
    json!({
        "what": "position",
        "connector": connector,
        "source_partition": position.source_partition,
        "offset": position.offset,
        "metadata": position.metadata,
    })
}

fn text_or_base64(payload: &[u8]) -> (&'static str, String) {
    match std::str::from_utf8(payload) {
        Ok(text) => ("payload", text.to_owned()),
        Err(_) => ("payload_base64", BASE64_STANDARD.encode(payload)),
    }
}
