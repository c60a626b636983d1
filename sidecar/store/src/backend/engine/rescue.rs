//! What is left of a damaged store, as a database that opens: a copy in another folder,
//! with all tables that its manifests name and all batches that are whole.
//!
//! Nothing of the store itself is changed.

use std::{
    fs,
    io::{self, Read as _, Write as _},
    path::{Path, PathBuf},
};

use bytes::Bytes;
use xxhash_rust::xxh3::xxh3_128;

use super::{
    journal::Batch,
    manifest::{self, CURRENT, KEYSPACES, TABLES},
    open::Keyspaces,
    spares::Spares,
    stamp,
    witness::Words,
};
use crate::backend::{Entry, Space, gaps::readable_behind};

/// Which tables are taken along.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Take {
    /// All that there are: what of them cannot be read is an error when it is.
    Present,
    /// Those that are whole: the others keep the database from opening.
    Whole,
}

/// What is left, and what the witness knows of it.
pub(crate) struct Remains {
    pub(super) keyspaces: Keyspaces,
    pub(super) words: Words,
}

impl Remains {
    /// Hands over all entries of a space that can be read, in order, but our stamp; tells
    /// how many gaps there are between them.
    pub(crate) fn entries<E>(
        &self,
        space: Space,
        mut each: impl FnMut(Entry) -> Result<(), E>,
    ) -> Result<u64, E> {
        let reads = |from: &[u8]| !matches!(self.keyspaces.range(space, from).next(), Some(Err(_)));
        let (mut from, mut gaps) = (Vec::new(), 0);
        'reading: loop {
            for entry in self.keyspaces.range(space, &from) {
                let Ok((key, value)) = entry else {
                    gaps += 1;
                    let after = if from.is_empty() { vec![0; 4] } else { from };
                    match readable_behind(reads, &after, &[u8::MAX; 16]) {
                        Some(behind) => from = behind.to_vec(),
                        None => return Ok(gaps),
                    }
                    continue 'reading;
                };
                // The least key behind it.
                from = [&key[..], &[0]].concat();
                if key != stamp::KEY {
                    each((key, value))?;
                }
            }
            return Ok(gaps);
        }
    }

    /// The totals that were once told, by key.
    pub(crate) fn known_totals(&self) -> impl Iterator<Item = (&Bytes, &Bytes)> {
        self.words.totals.iter().map(|total| (&total.key, &total.value))
    }
}

/// Makes the copy, and opens it.
pub(super) fn copy(store: &Path, spares: &Spares, into: &Path) -> io::Result<Keyspaces> {
    copy_taking(store, spares, into, Take::Present)
        .or_else(|_| copy_taking(store, spares, into, Take::Whole))
}

fn copy_taking(store: &Path, spares: &Spares, into: &Path, take: Take) -> io::Result<Keyspaces> {
    if into.exists() {
        fs::remove_dir_all(into)?;
    }
    // A new one gives the key spaces the numbers that they have always had.
    let numbers = open(into)?.numbers();
    for keyspace in numbers.into_iter().filter(|number| *number != 0) {
        copy_keyspace(store, into, keyspace, take)?;
    }
    for number in spares.all()? {
        let bytes = fs::read(spares.present(number))?;
        fs::write(into.join(format!("{number}.jnl")), whole_batches(&bytes))?;
    }
    open(into)
}

fn open(path: &Path) -> io::Result<Keyspaces> {
    match crate::panics::caught(|| Keyspaces::open(path)) {
        Ok(opened) => opened.map_err(io::Error::other),
        Err(panicked) => Err(io::Error::other(panicked)),
    }
}

fn copy_keyspace(store: &Path, into: &Path, keyspace: u64, take: Take) -> io::Result<()> {
    let folder = |at: &Path| at.join(KEYSPACES).join(keyspace.to_string());
    let (from, to) = (folder(store), folder(into));
    let Some((version, manifest)) = newest_manifest(&from) else { return Ok(()) };
    let mut taken = Vec::new();
    for table in manifest::named_tables(&from, &manifest).unwrap_or_default() {
        let fit = match take {
            Take::Present => table.path.exists(),
            Take::Whole => manifest::check(&table).is_ok(),
        };
        if let Some(name) = table.path.file_name().filter(|_| fit) {
            fs::hard_link(&table.path, to.join(TABLES).join(name))?;
            taken.extend(name.to_str().and_then(|name| name.parse::<u64>().ok()));
        }
    }
    let written = manifest_of(&manifest, &taken)?;
    fs::write(to.join(format!("v{version}")), &written)?;
    let checksum = xxh3_128(&written).to_le_bytes();
    fs::write(to.join(CURRENT), [&version.to_le_bytes()[..], &checksum, &[0]].concat())
}

/// The one in force, or the newest of those that make sense.
fn newest_manifest(folder: &Path) -> Option<(u64, PathBuf)> {
    let named = fs::read(folder.join(CURRENT)).ok().and_then(|bytes| manifest::pointer(&bytes));
    let mut versions: Vec<u64> = named.map(|(version, _)| version).into_iter().collect();
    let mut others: Vec<u64> = fs::read_dir(folder)
        .ok()?
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.strip_prefix('v')?.parse().ok())
        .collect();
    others.sort_unstable_by(|one, other| other.cmp(one));
    versions.extend(others);
    let path = |version: u64| folder.join(format!("v{version}"));
    let sensible = |version: &u64| manifest::named(&path(*version)).is_some();
    versions.into_iter().find(sensible).map(|version| (version, path(version)))
}

/// The manifest with no other tables than these.
fn manifest_of(manifest: &Path, taken: &[u64]) -> io::Result<Vec<u8>> {
    let archive = sfa::Reader::new(manifest).map_err(io::Error::other)?;
    let mut writer = sfa::Writer::from_writer(io::Cursor::new(Vec::new()));
    for section in archive.toc().iter() {
        let mut bytes = Vec::new();
        section.buf_reader(manifest)?.read_to_end(&mut bytes)?;
        if section.name() == manifest::SECTION {
            bytes = manifest::only(&bytes, taken)
                .ok_or_else(|| io::Error::other("a manifest without sense"))?;
        }
        writer.start(section.name()).map_err(io::Error::other)?;
        writer.write_all(&bytes)?;
    }
    Ok(writer.into_inner().map_err(io::Error::other)?.into_inner())
}

fn whole_batches(bytes: &[u8]) -> Vec<u8> {
    let (mut whole, mut at) = (Vec::new(), 0);
    while let Some(batch) = Batch::at(bytes, at).or_else(|| Batch::behind(bytes, at)) {
        whole.extend(batch.renumbered());
        at = batch.end;
    }
    whole
}
