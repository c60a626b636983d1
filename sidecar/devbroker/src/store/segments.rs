//! The messages of one topic in files.
//!
//! Each file is named by the offset of its first message and holds frames:
//! length (u32), checksum (u32), encoded message; numbers in little endian.

use std::{
    collections::VecDeque,
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
};

use danube_core::proto::StreamMessage;
use prost::Message;
use xxhash_rust::xxh3::xxh3_64;

use crate::error::StartError;

const EXTENSION: &str = "log";
const HEADER: usize = 8;
/// When the next file is begun, in bytes.
const SEGMENT: u64 = 8 * 1024 * 1024;
/// How much may wait where writes are delayed.
const MAX_DELAYED: usize = 10 * 1024 * 1024;

/// The files of one topic, appended to at the end, removed from the front.
#[derive(Debug)]
pub(crate) struct Segments {
    dir: PathBuf,
    /// First offset of each file; the last is the one that is written.
    firsts: VecDeque<u64>,
    file: File,
    /// How much of the current file is good.
    length: u64,
    /// What is not written yet.
    pending: Vec<u8>,
    writing: Writing,
}

/// How the files are written.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Writing {
    /// Wait until told ([`crate::Oddities::forgets_confirmed`]).
    pub(crate) delayed: bool,
    /// Remove nothing ([`crate::Config::audit`]).
    pub(crate) keep: bool,
}

impl Segments {
    /// Opens the files and reads what they hold, a torn last frame cut off.
    /// Returns the first offset and the messages from it.
    pub(crate) fn open(
        dir: &Path,
        writing: Writing,
    ) -> Result<(Self, u64, Vec<StreamMessage>), StartError> {
        let Read { firsts, length, messages } = read_all(dir)?;
        let (first, current) = (firsts[0], firsts[firsts.len() - 1]);
        let path = file_path(dir, current);
        let file =
            open_file(&path, length).map_err(|source| StartError::DataDir { path, source })?;
        let segments =
            Self { dir: dir.to_owned(), firsts, file, length, pending: Vec::new(), writing };
        Ok((segments, first, messages))
    }

    /// Writes a message; when this returns the operating system has it.
    pub(crate) fn append(&mut self, offset: u64, message: &StreamMessage) -> io::Result<()> {
        if self.length >= SEGMENT && self.pending.is_empty() {
            self.roll(offset)?;
        }
        encode(message, &mut self.pending);
        if self.writing.delayed && self.pending.len() < MAX_DELAYED {
            return Ok(());
        }
        self.flush()
    }

    /// Writes what is delayed.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        let written = self.file.write_all(&self.pending);
        let size = self.pending.len() as u64;
        self.pending.clear();
        if let Err(error) = written {
            // What was written of it must not stay before the next message.
            self.file = open_file(&self.current(), self.length)?;
            return Err(error);
        }
        self.length += size;
        Ok(())
    }

    fn roll(&mut self, offset: u64) -> io::Result<()> {
        self.file = open_file(&file_path(&self.dir, offset), 0)?;
        self.firsts.push_back(offset);
        self.length = 0;
        Ok(())
    }

    fn current(&self) -> PathBuf {
        file_path(&self.dir, self.firsts.back().copied().unwrap_or_default())
    }

    /// Removes the files whose messages are all below `offset`.
    pub(crate) fn trim(&mut self, offset: u64) {
        if self.writing.keep {
            return;
        }
        while self.firsts.get(1).is_some_and(|next| *next <= offset) {
            let Some(first) = self.firsts.pop_front() else { return };
            let path = file_path(&self.dir, first);
            if let Err(error) = fs::remove_file(&path) {
                tracing::warn!(path = %path.display(), %error, "cannot remove");
            }
        }
    }
}

/// What the files of a topic hold.
struct Read {
    /// First offset of each file, one at least.
    firsts: VecDeque<u64>,
    /// How much of the last file is good.
    length: u64,
    messages: Vec<StreamMessage>,
}

/// Reads the messages of a topic, and gives the first one's offset.
pub(crate) fn messages(dir: &Path) -> Result<(u64, Vec<StreamMessage>), StartError> {
    let Read { firsts, messages, .. } = read_all(dir)?;
    Ok((firsts[0], messages))
}

fn read_all(dir: &Path) -> Result<Read, StartError> {
    let mut firsts = list(dir)?;
    if firsts.is_empty() {
        firsts.push_back(0);
    }
    let mut messages = Vec::new();
    let mut length = 0;
    for (index, first) in firsts.iter().enumerate() {
        let path = file_path(dir, *first);
        length = read(&path, &mut messages)?;
        let end = firsts[0] + messages.len() as u64;
        if firsts.get(index + 1).is_some_and(|next| *next != end) {
            let source = format!("its messages end at {end}").into();
            return Err(StartError::Damaged { path, source });
        }
    }
    Ok(Read { firsts, length, messages })
}

fn list(dir: &Path) -> Result<VecDeque<u64>, StartError> {
    let unusable = |source| StartError::DataDir { path: dir.to_owned(), source };
    let mut firsts = Vec::new();
    for entry in fs::read_dir(dir).map_err(unusable)? {
        let path = entry.map_err(unusable)?.path();
        if path.extension().is_none_or(|extension| extension != EXTENSION) {
            continue;
        }
        let stem = path.file_stem().and_then(|stem| stem.to_str());
        firsts.extend(stem.and_then(|stem| stem.parse::<u64>().ok()));
    }
    firsts.sort_unstable();
    Ok(firsts.into())
}

fn file_path(dir: &Path, first: u64) -> PathBuf {
    dir.join(format!("{first:020}.{EXTENSION}"))
}

/// Opens a file to write behind its first `length` bytes; the rest goes.
fn open_file(path: &Path, length: u64) -> io::Result<File> {
    let file = File::options().create(true).append(true).open(path)?;
    file.set_len(length)?;
    Ok(file)
}

fn encode(message: &StreamMessage, into: &mut Vec<u8>) {
    let start = into.len();
    into.extend_from_slice(&[0; HEADER]);
    // A Vec grows as needed, so encoding into it cannot fail.
    let _ = message.encode(into);
    let body = &into[start + HEADER..];
    let length = u32::try_from(body.len()).unwrap_or(u32::MAX).to_le_bytes();
    let checksum = checksum(body).to_le_bytes();
    into[start..start + 4].copy_from_slice(&length);
    into[start + 4..start + HEADER].copy_from_slice(&checksum);
}

/// The low half of the hash is plenty to tell a torn frame.
fn checksum(body: &[u8]) -> u32 {
    (xxh3_64(body) & u64::from(u32::MAX)) as u32
}

/// Reads a file's messages; returns how many of its bytes are good.
fn read(path: &Path, messages: &mut Vec<StreamMessage>) -> Result<u64, StartError> {
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes::Bytes::from(bytes),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
        Err(source) => return Err(StartError::DataDir { path: path.to_owned(), source }),
    };
    let mut at = 0;
    while let Some(body) = frame(&bytes, at) {
        let Ok(message) = StreamMessage::decode(body.clone()) else { break };
        messages.push(message);
        at += HEADER + body.len();
    }
    Ok(at as u64)
}

fn frame(bytes: &bytes::Bytes, at: usize) -> Option<bytes::Bytes> {
    let number = |from: usize| -> Option<u32> {
        let field = bytes.get(from..from + 4)?;
        Some(u32::from_le_bytes(field.try_into().ok()?))
    };
    let (length, expected) = (number(at)? as usize, number(at + 4)?);
    let from = at + HEADER;
    let until = from.checked_add(length).filter(|until| *until <= bytes.len())?;
    let body = bytes.slice(from..until);
    (checksum(&body) == expected).then_some(body)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DELAYED: Writing = Writing { delayed: true, keep: false };

    fn message(payload: &str) -> StreamMessage {
        StreamMessage { payload: payload.to_owned().into(), ..Default::default() }
    }

    fn payloads(messages: &[StreamMessage]) -> Vec<String> {
        messages.iter().map(|m| String::from_utf8(m.payload.to_vec()).unwrap()).collect()
    }

    #[test]
    fn what_was_appended_is_read_back() {
        let dir = tempfile::tempdir().unwrap();
        let (mut segments, _, _) = Segments::open(dir.path(), Writing::default()).unwrap();
        segments.append(0, &message("a")).unwrap();
        segments.append(1, &message("b")).unwrap();
        let (_, first, messages) = Segments::open(dir.path(), Writing::default()).unwrap();
        assert_eq!((first, payloads(&messages)), (0, vec!["a".into(), "b".into()]));
    }

    #[test]
    fn a_torn_last_frame_is_cut_off_and_written_over() {
        let dir = tempfile::tempdir().unwrap();
        let (mut segments, _, _) = Segments::open(dir.path(), Writing::default()).unwrap();
        segments.append(0, &message("a")).unwrap();
        segments.append(1, &message("torn")).unwrap();
        let path = segments.current();
        let length = fs::metadata(&path).unwrap().len();
        File::options().write(true).open(&path).unwrap().set_len(length - 1).unwrap();

        let (mut segments, _, messages) = Segments::open(dir.path(), Writing::default()).unwrap();
        assert_eq!(payloads(&messages), ["a"]);
        segments.append(1, &message("c")).unwrap();
        let (_, _, messages) = Segments::open(dir.path(), Writing::default()).unwrap();
        assert_eq!(payloads(&messages), ["a", "c"]);
    }

    #[test]
    fn files_that_nobody_needs_are_removed_and_numbering_goes_on() {
        let dir = tempfile::tempdir().unwrap();
        let (mut segments, _, _) = Segments::open(dir.path(), Writing::default()).unwrap();
        let large = message(&"x".repeat(3 * 1024 * 1024));
        for offset in 0..8 {
            segments.append(offset, &large).unwrap();
        }
        segments.trim(8);
        let (_, first, messages) = Segments::open(dir.path(), Writing::default()).unwrap();
        assert!(first > 0);
        assert_eq!(first + messages.len() as u64, 8);
    }

    #[test]
    fn delayed_writes_are_lost_without_a_flush() {
        let dir = tempfile::tempdir().unwrap();
        let (mut segments, _, _) = Segments::open(dir.path(), DELAYED).unwrap();
        segments.append(0, &message("a")).unwrap();
        segments.flush().unwrap();
        segments.append(1, &message("lost")).unwrap();
        let (_, _, messages) = Segments::open(dir.path(), DELAYED).unwrap();
        assert_eq!(payloads(&messages), ["a"]);
    }
}
