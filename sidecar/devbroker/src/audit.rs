//! The audit: what the broker confirmed and what it passed over, by name.
//!
//! Written line by line, as JSON, to `audit.log` in the data directory: a confirmed
//! publish before its confirmation, a message passed over before any that follows
//! it is delivered. So it also names what a crash makes the broker forget.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
};

use danube_core::proto::StreamMessage;
use serde::{Deserialize, Serialize};

use crate::error::StartError;

/// Its name in the data directory.
const FILE: &str = "audit.log";

/// A line of the audit.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Audited {
    /// A publish is about to be confirmed.
    Published(AuditedMessage),
    /// A subscription does not get a message
    /// ([`crate::Oddities::live_channel_skips`]).
    Skipped {
        /// Which one.
        subscription: String,
        /// What it does not get.
        #[serde(flatten)]
        message: AuditedMessage,
    },
}

/// A message by its identity. Offsets may repeat, see
/// [`crate::Oddities::forgets_confirmed`].
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct AuditedMessage {
    /// The topic, or the partition.
    pub topic: String,
    /// Where the message stands in it.
    pub offset: u64,
    /// The producer's name.
    pub producer: String,
    /// The number that the producer gave it.
    pub request_id: u64,
    /// Its attributes: what its producer knows it by.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub attributes: BTreeMap<String, String>,
}

impl AuditedMessage {
    pub(crate) fn new(topic: &str, offset: u64, message: &StreamMessage) -> Self {
        Self {
            topic: topic.to_owned(),
            offset,
            producer: message.producer_name.clone(),
            request_id: message.request_id,
            attributes: message.attributes.clone().into_iter().collect(),
        }
    }
}

/// The audit as it is written.
#[derive(Debug)]
pub(crate) struct Audit(File);

impl Audit {
    /// Goes on behind what the data directory's audit holds.
    pub(crate) fn open(data_dir: &Path) -> io::Result<Self> {
        File::options().create(true).append(true).open(path(data_dir)).map(Self)
    }

    /// When this returns the operating system has the line.
    pub(crate) fn write(&self, line: &Audited) -> io::Result<()> {
        let mut bytes = serde_json::to_vec(line)?;
        bytes.push(b'\n');
        // One call, so that lines of several topics do not mix.
        (&self.0).write_all(&bytes)
    }
}

/// All lines, oldest first; none where the broker ran without an audit. A last line
/// that a kill has torn is left out.
pub(crate) fn read(data_dir: &Path) -> Result<Vec<Audited>, StartError> {
    let path = path(data_dir);
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(source) => return Err(StartError::DataDir { path, source }),
    };
    let damaged = |error| StartError::Damaged { path: path.clone(), source: Box::new(error) };
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    whole.lines().map(|line| serde_json::from_str(line).map_err(damaged)).collect()
}

/// Where the audit of a data directory is.
pub(crate) fn path(data_dir: &Path) -> PathBuf {
    data_dir.join(FILE)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(offset: u64) -> AuditedMessage {
        let (topic, producer) = ("/default/topic".to_owned(), "shop".to_owned());
        AuditedMessage { topic, offset, producer, request_id: 7, attributes: BTreeMap::new() }
    }

    #[test]
    fn what_was_written_is_read_back_without_a_torn_last_line() {
        let dir = tempfile::tempdir().unwrap();
        let lines = [
            Audited::Published(message(0)),
            Audited::Skipped { subscription: "sub".to_owned(), message: message(0) },
        ];
        let audit = Audit::open(dir.path()).unwrap();
        lines.iter().for_each(|line| audit.write(line).unwrap());
        (&audit.0).write_all(br#"{"event":"publ"#).unwrap();
        assert_eq!(read(dir.path()).unwrap(), lines);
    }

    #[test]
    fn a_line_says_all_in_one_object() {
        let line = Audited::Skipped { subscription: "sub".to_owned(), message: message(3) };
        assert_eq!(
            serde_json::to_string(&line).unwrap(),
            r#"{"event":"skipped","subscription":"sub","topic":"/default/topic","offset":3,"producer":"shop","request_id":7}"#
        );
    }
}
