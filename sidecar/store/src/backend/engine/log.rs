//! The log of commits as a whole: numbers them, tells the witness, and holds on to the
//! engine's journals.

use std::{collections::BTreeSet, fs, io, os::unix::fs::MetadataExt as _, path::PathBuf};

use bytes::Bytes;
use fjall::Database;

use super::{
    journal::{self, First},
    spares::Spares,
    stamp::Stamp,
    totals,
    witness::{Point, Witness, Words},
};
use crate::backend::Durability;

#[derive(Debug)]
pub(super) struct Log {
    spares: Spares,
    witness: Witness,
    /// The journals that had a second name at the last look.
    journals: BTreeSet<u64>,
}

impl Log {
    /// The log of an engine that is open, whose last commit has this number.
    pub(super) fn begin(
        witness: PathBuf,
        spares: Spares,
        mut words: Words,
        last: u64,
    ) -> io::Result<Self> {
        let journals = spares.journals()?;
        // The engine has made all of it survive a loss of power when it opened.
        words.written = Point { number: last, journal: newest(&journals) };
        words.synced = words.written;
        words.ceiling = u64::MAX;
        // Before the witness is written: what is needed has its second name.
        let watched = spares.keep(&journals);
        watched.as_ref().err().into_iter().for_each(tell_unwatched);
        words.first_journal = journals.first().copied().filter(|_| watched.is_ok());
        words.first_number = first_number(&spares, &journals, last)?;
        let mut log = Self { witness: Witness::open(witness, words)?, spares, journals };
        log.forget()?;
        Ok(log)
    }

    /// The stamp of the next commit.
    pub(super) fn next(&self, database: &Database) -> Stamp {
        Stamp { number: self.witness.words.written.number + 1, floor: database.seqno() }
    }

    /// Remembers what a commit makes of a total.
    pub(super) fn note(&mut self, key: &Bytes, value: &Bytes) {
        if totals::is_total(key) {
            self.witness.words.note_total(key.clone(), value.clone());
        }
    }

    /// After a commit, and before its answer.
    pub(super) fn committed(
        &mut self,
        database: &Database,
        durability: Durability,
    ) -> io::Result<()> {
        let words = &mut self.witness.words;
        let journal = newest(&self.journals);
        words.written = Point { number: words.written.number + 1, journal };
        words.ceiling = database.seqno();
        if durability == Durability::Power {
            words.synced = words.written;
        }
        self.witness.write()?;
        if self.is_settled(database) { Ok(()) } else { self.follow() }
    }

    /// After all commits so far were fsynced.
    pub(super) fn synced(&mut self) -> io::Result<()> {
        self.follow()?;
        let words = &mut self.witness.words;
        words.synced = words.written;
        self.witness.write()?;
        self.witness.sync()
    }

    /// Whether the engine has the journals that it had at the last look.
    pub(super) fn is_settled(&self, database: &Database) -> bool {
        database.journal_count() == self.journals.len()
    }

    /// What the journals take from the disk.
    pub(super) fn bytes(&self) -> u64 {
        let path = |number: &u64| self.spares.journal(*number);
        let sizes = self.journals.iter().filter_map(|number| fs::metadata(path(number)).ok());
        sizes.map(|journal| journal.blocks() * 512).sum()
    }

    /// Sees which journals have come and gone.
    fn follow(&mut self) -> io::Result<()> {
        let journals = self.spares.journals()?;
        if journals == self.journals {
            return Ok(());
        }
        self.journals = journals;
        if self.witness.words.first_journal.is_none() {
            return Ok(());
        }
        if let Err(error) = self.spares.keep(&self.journals) {
            tell_unwatched(&error);
            self.witness.words.first_journal = None;
            return self.witness.write();
        }
        self.forget()
    }

    /// Lets go of the journals that the engine has let go of: the witness first.
    fn forget(&mut self) -> io::Result<()> {
        let Some(first) = self.journals.first().copied() else { return Ok(()) };
        if self.witness.words.first_journal.is_none_or(|known| known > first) {
            return Ok(());
        }
        let last = self.witness.words.written.number;
        self.witness.words.first_number = first_number(&self.spares, &self.journals, last)?;
        self.witness.words.first_journal = Some(first);
        self.witness.write()?;
        self.witness.sync()?;
        self.spares.forget(first)
    }
}

/// The number of the first commit in the journals; of the next one where they have none.
fn first_number(spares: &Spares, journals: &BTreeSet<u64>, last: u64) -> io::Result<Option<u64>> {
    for journal in journals {
        // One that the engine took away as we looked has nothing that is needed.
        match journal::first(&spares.readable(*journal))? {
            First::Nothing => {}
            First::Unstamped => return Ok(None),
            First::Stamped(stamp) => return Ok(Some(stamp.number)),
        }
    }
    Ok(Some(last + 1))
}

fn newest(journals: &BTreeSet<u64>) -> u64 {
    journals.last().copied().unwrap_or_default()
}

fn tell_unwatched(error: &io::Error) {
    tracing::warn!(
        %error,
        "the store cannot give its journals a second name: if one is deleted, that is not noticed"
    );
}
