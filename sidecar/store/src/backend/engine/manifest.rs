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

pub(super) const KEYSPACES: &str = "keyspaces";
pub(super) const CURRENT: &str = "current";
pub(super) const TABLES: &str = "tables";
/// Of a manifest, what names the tables.
pub(super) const SECTION: &[u8] = b"tables";
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
    let tables = named_tables(&folder, &manifest).ok_or_else(|| damaged(&manifest))?;
    for table in &tables {
        fs::metadata(&table.path).map_err(|error| unfit(&table.path, &error))?;
    }
    Ok(tables)
}

/// The tables that a manifest in a key space's folder names.
pub(super) fn named_tables(folder: &Path, manifest: &Path) -> Option<Vec<Table>> {
    let path = |id: u64| folder.join(TABLES).join(id.to_string());
    let tables = named(manifest)?.into_iter();
    Some(tables.map(|(id, checksum)| Table { path: path(id), checksum }).collect())
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

pub(super) fn pointer(mut bytes: &[u8]) -> Option<(u64, u128)> {
    let (version, checksum) = (u64::from_le_bytes(chunk(&mut bytes)?), chunk(&mut bytes)?);
    (bytes == [XXH3]).then_some((version, u128::from_le_bytes(checksum)))
}

/// A table as a manifest has it.
#[derive(Clone, Copy)]
struct Named<'b> {
    id: u64,
    checksum: u128,
    bytes: &'b [u8],
}

const NAMED_BYTES: usize = 8 + 1 + 16 + 8;

/// Ids and checksums of the tables in a manifest.
pub(super) fn named(manifest: &Path) -> Option<Vec<(u64, u128)>> {
    let archive = sfa::Reader::new(manifest).ok()?;
    let mut section = Vec::new();
    let reader = archive.toc().section(SECTION)?.buf_reader(manifest);
    reader.ok()?.read_to_end(&mut section).ok()?;
    let tables = levels(&section)?.into_iter().flatten().flatten();
    Some(tables.map(|table| (table.id, table.checksum)).collect())
}

/// The same section with no other tables than these.
pub(super) fn only(section: &[u8], taken: &[u64]) -> Option<Vec<u8>> {
    let levels = levels(section)?;
    let mut left = vec![levels.len() as u8];
    for runs in levels {
        let of_run = |run: &Vec<Named<'_>>| -> Vec<u8> {
            let left = run.iter().filter(|table| taken.contains(&table.id));
            left.flat_map(|table| table.bytes.iter().copied()).collect()
        };
        let runs: Vec<_> = runs.iter().map(of_run).filter(|run| !run.is_empty()).collect();
        left.push(runs.len() as u8);
        for run in runs {
            left.extend(((run.len() / NAMED_BYTES) as u32).to_le_bytes());
            left.extend(run);
        }
    }
    Some(left)
}

/// Levels of runs of tables.
fn levels(mut bytes: &[u8]) -> Option<Vec<Vec<Vec<Named<'_>>>>> {
    let [levels] = chunk(&mut bytes)?;
    (0..levels).map(|_| runs(&mut bytes)).collect()
}

fn runs<'b>(bytes: &mut &'b [u8]) -> Option<Vec<Vec<Named<'b>>>> {
    let [runs] = chunk(bytes)?;
    let run = |bytes: &mut &'b [u8]| {
        let tables = u32::from_le_bytes(chunk(bytes)?);
        (0..tables).map(|_| table(bytes)).collect()
    };
    (0..runs).map(|_| run(bytes)).collect()
}

fn table<'b>(bytes: &mut &'b [u8]) -> Option<Named<'b>> {
    let (mut named, rest) = bytes.split_at_checked(NAMED_BYTES)?;
    *bytes = rest;
    let whole = named;
    let id = u64::from_le_bytes(chunk(&mut named)?);
    let [_kind] = chunk(&mut named)?;
    let checksum = u128::from_le_bytes(chunk(&mut named)?);
    Some(Named { id, checksum, bytes: whole })
}

fn chunk<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let (chunk, rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    Some(*chunk)
}
