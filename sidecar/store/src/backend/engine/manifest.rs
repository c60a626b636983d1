//! The engine's manifests, checked before it sees them: a key space whose manifest is
//! not there it deletes, and files that a damaged one does not name it deletes too.
//!
//! `current` names the manifest in force and its checksum, which the engine does not
//! look at; the manifest names the tables and theirs.

use std::{
    fs::{self, File},
    io::{self, Read as _},
    path::{Path, PathBuf},
};

use xxhash_rust::xxh3::{Xxh3Default, xxh3_128};

const KEYSPACES: &str = "keyspaces";
const CURRENT: &str = "current";
const TABLES: &str = "tables";
/// The only kind of checksum that there is.
const XXH3: u8 = 0;

/// A file that is not what it was.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Unfit {
    pub(super) path: PathBuf,
    pub(super) missing: bool,
}

/// One of a key space's files of sorted entries.
#[derive(Debug)]
pub(super) struct Table {
    pub(super) path: PathBuf,
    checksum: u128,
}

/// The folders of all key spaces in `store`, by the engine's numbers.
pub(super) fn keyspaces(store: &Path) -> io::Result<Vec<u64>> {
    let mut numbers = Vec::new();
    for entry in fs::read_dir(store.join(KEYSPACES))? {
        let name = entry?.file_name();
        numbers.extend(name.to_str().and_then(|name| name.parse::<u64>().ok()));
    }
    numbers.sort_unstable();
    Ok(numbers)
}

/// The tables of a key space: its manifest is whole, and none of them is missing.
pub(super) fn tables(store: &Path, keyspace: u64) -> Result<Vec<Table>, Unfit> {
    let folder = store.join(KEYSPACES).join(keyspace.to_string());
    let current = folder.join(CURRENT);
    let bytes = fs::read(&current).map_err(|error| unfit(&current, &error))?;
    let (version, checksum) = pointer(&bytes).ok_or_else(|| damaged(&current))?;
    let manifest = folder.join(format!("v{version}"));
    let bytes = fs::read(&manifest).map_err(|error| unfit(&manifest, &error))?;
    if xxh3_128(&bytes) != checksum {
        return Err(damaged(&manifest));
    }
    let named = named(&manifest).ok_or_else(|| damaged(&manifest))?;
    let mut tables = Vec::with_capacity(named.len());
    for (id, checksum) in named {
        let path = folder.join(TABLES).join(id.to_string());
        fs::metadata(&path).map_err(|error| unfit(&path, &error))?;
        tables.push(Table { path, checksum });
    }
    Ok(tables)
}

/// Reads all of a table.
pub(super) fn check(table: &Table) -> Result<(), Unfit> {
    let path = &table.path;
    let checksum = checksum(path).map_err(|error| unfit(path, &error))?;
    if checksum == table.checksum { Ok(()) } else { Err(damaged(path)) }
}

fn checksum(path: &Path) -> io::Result<u128> {
    let mut file = File::open(path)?;
    let (mut hasher, mut buffer) = (Xxh3Default::new(), vec![0; 1 << 18]);
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(hasher.digest128()),
            read => hasher.update(&buffer[..read]),
        }
    }
}

fn damaged(path: &Path) -> Unfit {
    Unfit { path: path.to_owned(), missing: false }
}

fn unfit(path: &Path, error: &io::Error) -> Unfit {
    Unfit { path: path.to_owned(), missing: error.kind() == io::ErrorKind::NotFound }
}

fn pointer(mut bytes: &[u8]) -> Option<(u64, u128)> {
    let (version, checksum) = (u64::from_le_bytes(chunk(&mut bytes)?), chunk(&mut bytes)?);
    (bytes == [XXH3]).then_some((version, u128::from_le_bytes(checksum)))
}

/// Ids and checksums of the tables in a manifest: levels of runs of tables.
fn named(manifest: &Path) -> Option<Vec<(u64, u128)>> {
    let archive = sfa::Reader::new(manifest).ok()?;
    let mut section = Vec::new();
    let reader = archive.toc().section(b"tables")?.buf_reader(manifest);
    reader.ok()?.read_to_end(&mut section).ok()?;
    let (mut bytes, mut named) = (&section[..], Vec::new());
    let [levels] = chunk(&mut bytes)?;
    for _ in 0..levels {
        let [runs] = chunk(&mut bytes)?;
        for _ in 0..runs {
            for _ in 0..u32::from_le_bytes(chunk(&mut bytes)?) {
                let id = u64::from_le_bytes(chunk(&mut bytes)?);
                let [_kind] = chunk(&mut bytes)?;
                let checksum = u128::from_le_bytes(chunk(&mut bytes)?);
                let _global_seqno: [u8; 8] = chunk(&mut bytes)?;
                named.push((id, checksum));
            }
        }
    }
    Some(named)
}

fn chunk<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let (chunk, rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    Some(*chunk)
}
