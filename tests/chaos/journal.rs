//! What the connectors of a round did, line by line in files: they survive a kill,
//! and all workers of a sink write one file, so that its order is that of events.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, Read as _, Seek as _, SeekFrom, Write as _},
    marker::PhantomData,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::sequence::Place;

/// What a sink did with a record, written before it says so to the sidecar.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Handled {
    /// What it did.
    pub what: What,
    /// The record's `dedup_id`.
    pub dedup_id: String,
    /// The partition's own topic.
    pub partition: String,
    /// Offset in it.
    pub offset: u64,
    /// When it was published, in milliseconds since 1970.
    pub publish_time_ms: u64,
    /// Its place in the external system.
    pub place: Place,
    /// Its routing key.
    pub key: Option<String>,
    /// Which offer of the record this is.
    pub attempt: u32,
    /// The session's fencing token.
    pub epoch: u64,
    /// The session.
    pub session: String,
    /// The worker.
    pub worker: String,
}

/// What a sink does with a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum What {
    /// Wrote it: the effect.
    Effect,
    /// Failed, for now.
    Retry,
    /// Said that it can never be written.
    Reject,
    /// Left it out on purpose.
    Filter,
    /// Died of it.
    Death,
}

/// What a source saw; positions are the last offset of each source partition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Seen {
    /// A session began; these positions were committed.
    Opened {
        /// The session's fencing token.
        epoch: u64,
        /// Where it resumes.
        positions: BTreeMap<u64, u64>,
    },
    /// Everything of the session up to this number is safe.
    Committed {
        /// The session's fencing token.
        epoch: u64,
        /// The number.
        number: u64,
        /// What that means.
        positions: BTreeMap<u64, u64>,
    },
}

/// A file that is only appended to.
#[derive(Debug)]
pub struct Journal(File);

impl Journal {
    /// Goes on behind what is there.
    pub fn open(path: &Path) -> io::Result<Self> {
        File::options().create(true).append(true).open(path).map(Self)
    }

    /// When this returns the operating system has the lines, together.
    pub fn append<T: Serialize>(&mut self, lines: &[T]) -> io::Result<()> {
        let mut bytes = Vec::with_capacity(lines.len() * 256);
        for line in lines {
            serde_json::to_writer(&mut bytes, line)?;
            bytes.push(b'\n');
        }
        // One call, so that lines of several workers do not mix.
        self.0.write_all(&bytes)
    }
}

/// Follows a journal while it is written.
#[derive(Debug)]
pub struct Tail<T> {
    path: PathBuf,
    read: u64,
    lines: PhantomData<T>,
}

impl<T: DeserializeOwned> Tail<T> {
    /// From its beginning.
    pub fn new(path: &Path) -> Self {
        Self { path: path.to_owned(), read: 0, lines: PhantomData }
    }

    /// The whole lines that came since the last call.
    pub fn news(&mut self) -> anyhow::Result<Vec<T>> {
        let mut file = match File::open(&self.path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error).with_context(|| self.path.display().to_string()),
        };
        file.seek(SeekFrom::Start(self.read))?;
        let mut text = String::new();
        file.read_to_string(&mut text)?;
        let whole = text.rfind('\n').map_or(0, |end| end + 1);
        self.read += whole as u64;
        text[..whole].lines().map(|line| Ok(serde_json::from_str(line)?)).collect()
    }
}

/// All lines of a journal; none where it was never written.
pub fn read<T: DeserializeOwned>(path: &Path) -> anyhow::Result<Vec<T>> {
    Tail::new(path).news()
}

/// The end of a file, for people.
pub fn last_lines(path: &Path, count: usize) -> String {
    let text = fs::read_to_string(path).unwrap_or_default();
    let skipped = text.lines().count().saturating_sub(count);
    text.lines().skip(skipped).map(|line| format!("    {line}\n")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tail_gives_each_whole_line_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal");
        let mut tail = Tail::<u64>::new(&path);
        assert!(tail.news().unwrap().is_empty());
        let mut journal = Journal::open(&path).unwrap();
        journal.append(&[1, 2]).unwrap();
        journal.0.write_all(b"3").unwrap();
        assert_eq!(tail.news().unwrap(), [1, 2]);
        journal.0.write_all(b"4\n").unwrap();
        assert_eq!(tail.news().unwrap(), [34]);
    }
}
