//! What a store lacks, in an operator's words.

use std::{fmt, path::PathBuf};

/// What is missing, or damaged, in a store that was to be opened.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Loss {
    /// The file that is not what it was.
    pub file: PathBuf,
    /// Where in it the trouble begins, where that is known.
    pub offset: Option<u64>,
    /// What is wrong with it.
    pub damage: Damage,
    /// Commits that were acknowledged, the first and the last one, and are not there or
    /// not to be read.
    pub commits: Option<(u64, u64)>,
    /// Commits behind the damage that can be read, and that `repair` keeps.
    pub readable_behind: u64,
    /// By connector, as far as known.
    pub connectors: Vec<ConnectorLoss>,
}

/// What is wrong with a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Damage {
    /// It is not there.
    Missing,
    /// It does not have its checksum, or is no such file.
    Damaged,
    /// It ends before what was acknowledged.
    EndsEarly,
}

/// What is missing of one connector.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConnectorLoss {
    /// Its name.
    pub connector: String,
    /// What it is that has numbers.
    pub what: &'static str,
    /// The first and the last number that was given since.
    pub numbers: (u64, u64),
}

impl fmt::Display for Loss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file.display())?;
        match self.damage {
            Damage::Missing => write!(f, " is missing")?,
            Damage::Damaged => write!(f, " is damaged")?,
            Damage::EndsEarly => write!(f, " ends before what was acknowledged")?,
        }
        if let Some(offset) = self.offset {
            write!(f, " at byte {offset}")?;
        }
        if let Some((first, last)) = self.commits {
            write!(f, "; lost or behind it: {} commits ({first} to {last})", last + 1 - first)?;
            write!(f, ", of which {} can be read", self.readable_behind)?;
        }
        for ConnectorLoss { connector, what, numbers: (first, last) } in &self.connectors {
            let count = last + 1 - first;
            write!(f, "; {count} {what} of connector {connector:?} ({first} to {last})")?;
        }
        Ok(())
    }
}
