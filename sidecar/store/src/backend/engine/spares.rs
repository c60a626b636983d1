//! Second names of the engine's journals, in a folder of ours.
//!
//! The engine deletes a journal when its tables have all that it holds, and tells
//! nobody. So of a journal that is not there nobody could say whether the engine or a
//! fault took it. Under its second name it is there until the witness says that it is
//! not needed. One that is missed at a start is put back: what of it is in the tables is
//! passed over, and all that came after it is read again behind it.

use std::{
    collections::BTreeSet,
    fs::{self, File},
    io,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

const SUFFIX: &str = "jnl";

/// Two folders, and the journals in them by number.
#[derive(Debug)]
pub(super) struct Spares {
    journals: PathBuf,
    spares: PathBuf,
}

impl Spares {
    pub(super) fn new(journals: PathBuf, spares: PathBuf) -> Self {
        Self { journals, spares }
    }

    pub(super) fn journal(&self, number: u64) -> PathBuf {
        self.journals.join(format!("{number}.{SUFFIX}"))
    }

    fn spare(&self, number: u64) -> PathBuf {
        self.spares.join(format!("{number}.{SUFFIX}"))
    }

    /// The journals that the engine has.
    pub(super) fn journals(&self) -> io::Result<BTreeSet<u64>> {
        numbers(&self.journals)
    }

    /// Begins another journal: the engine writes what is in those before it into tables,
    /// and lets go of them.
    pub(super) fn begin_next(&self) -> io::Result<()> {
        let next = self.journals()?.last().map_or(0, |last| last + 1);
        File::create_new(self.journal(next))?.sync_all()?;
        File::open(&self.journals)?.sync_all()
    }

    /// All journals, under either name.
    pub(super) fn all(&self) -> io::Result<BTreeSet<u64>> {
        Ok(&self.journals()? | &numbers(&self.spares)?)
    }

    /// Puts back what is missed of the journals from `first` on.
    pub(super) fn restore(&self, first: u64) -> io::Result<()> {
        let present = self.journals()?;
        for number in numbers(&self.spares)?.range(first..) {
            if !present.contains(number) {
                tracing::debug!(number, "a journal of the store is put back");
                fs::hard_link(self.spare(*number), self.journal(*number))?;
            }
        }
        Ok(())
    }

    /// Gives each journal its second name.
    pub(super) fn keep(&self, journals: &BTreeSet<u64>) -> io::Result<()> {
        fs::create_dir_all(&self.spares)?;
        for number in journals {
            let (journal, spare) = (self.journal(*number), self.spare(*number));
            match (inode(&journal)?, inode(&spare)?) {
                // The engine was faster: it needs it no more.
                (None, _) => continue,
                (journal, spare) if journal == spare => continue,
                // Copied, with the whole folder, by somebody who knows no links.
                (_, Some(_)) => fs::remove_file(&spare)?,
                (_, None) => {}
            }
            unless_gone(fs::hard_link(&journal, &spare))?;
        }
        Ok(())
    }

    /// A journal under the engine's name, or the other where that is gone.
    pub(super) fn present(&self, number: u64) -> PathBuf {
        let journal = self.journal(number);
        if journal.exists() { journal } else { self.spare(number) }
    }

    /// A journal under the name that is ours, where it has one: the engine may be deleting
    /// the other.
    pub(super) fn readable(&self, number: u64) -> PathBuf {
        let spare = self.spare(number);
        if spare.exists() { spare } else { self.journal(number) }
    }

    /// Forgets the journals before `first`, the oldest ones first: what is left is
    /// always the end of the log, whole.
    pub(super) fn forget(&self, first: u64) -> io::Result<()> {
        let old = numbers(&self.spares)?;
        old.range(..first).try_for_each(|number| fs::remove_file(self.spare(*number)))
    }

    /// Removes a journal that must not be read, under both names.
    pub(super) fn remove(&self, number: u64) -> io::Result<()> {
        let paths = [self.spare(number), self.journal(number)];
        paths.into_iter().try_for_each(|path| unless_gone(fs::remove_file(path)))
    }
}

fn unless_gone(done: io::Result<()>) -> io::Result<()> {
    match done {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        done => done,
    }
}

/// `None` where there is no such file.
fn inode(path: &Path) -> io::Result<Option<u64>> {
    match fs::metadata(path) {
        Ok(metadata) => Ok(Some(metadata.ino())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn numbers(folder: &Path) -> io::Result<BTreeSet<u64>> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(BTreeSet::new()),
        Err(error) => return Err(error),
    };
    let mut numbers = BTreeSet::new();
    for entry in entries {
        let path = PathBuf::from(entry?.file_name());
        if path.extension().is_some_and(|suffix| suffix == SUFFIX) {
            let stem = path.file_stem().and_then(|stem| stem.to_str());
            numbers.extend(stem.and_then(|stem| stem.parse::<u64>().ok()));
        }
    }
    Ok(numbers)
}
