//! Second names of the engine's journals, in a folder of ours.
//!
//! The engine deletes a journal when its tables have all that it holds, and tells
//! nobody. So of a journal that is not there nobody could say whether the engine or a
//! fault took it. Under its second name it is there until the witness says that it is
//! not needed. One that is missed at a start is put back: what of it is in the tables is
//! passed over, and all that came after it is read again behind it.

use std::{
    collections::BTreeSet,
    fs, io,
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
            match fs::metadata(&spare) {
                Ok(other) if other.ino() == fs::metadata(&journal)?.ino() => continue,
                // Copied, with the whole folder, by somebody who knows no links.
                Ok(_) => fs::remove_file(&spare)?,
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
            match fs::hard_link(&journal, &spare) {
                // The engine was faster: it needs it no more.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                linked => linked?,
            }
        }
        Ok(())
    }

    /// Forgets the journals before `first`, the oldest ones first: what is left is
    /// always the end of the log, whole.
    pub(super) fn forget(&self, first: u64) -> io::Result<()> {
        let old = numbers(&self.spares)?;
        old.range(..first).try_for_each(|number| fs::remove_file(self.spare(*number)))
    }

    /// Removes a journal that must not be read, under both names.
    pub(super) fn remove(&self, number: u64) -> io::Result<()> {
        for path in [self.spare(number), self.journal(number)] {
            match fs::remove_file(path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                removed => removed?,
            }
        }
        Ok(())
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
