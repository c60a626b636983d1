//! The data directory.
//!
//! ```text
//! LOCK                         held while a broker uses the directory
//! registry.json                namespaces and schemas
//! topics/<namespace>/<topic>/  one directory per topic or partition
//!     topic.json               its settings, subscriptions and their cursors
//!     <offset>.log             its messages from that offset on
//! audit.log                    with an audit: what was confirmed and passed over
//! ```
//!
//! A message is written to the operating system before its publish is confirmed,
//! so a kill of the broker loses none; a crash of the machine may. Cursors are
//! written every second and never ahead of the acks. What all subscriptions have
//! acked goes away file by file; a topic without subscriptions keeps nothing.

mod saved;
mod segments;

use std::{
    fs::{self, File, TryLockError},
    io::{self, Write},
    path::{Path, PathBuf},
    sync::Arc,
};

use danube_core::proto::StreamMessage;
use serde::{Serialize, de::DeserializeOwned};

pub(crate) use saved::{SavedRegistry, SavedSubscription, SavedTopic};
pub(crate) use segments::{Segments, Writing};

use crate::{audit::Audit, error::StartError};

const TOPIC_FILE: &str = "topic.json";

/// A data directory that this broker holds the lock of.
#[derive(Debug)]
pub(crate) struct DataDir {
    path: PathBuf,
    lock: File,
    audit: Option<Arc<Audit>>,
}

/// Where one topic is kept.
#[derive(Clone, Debug)]
pub(crate) struct TopicDir {
    path: PathBuf,
    audit: Option<Arc<Audit>>,
}

impl DataDir {
    /// Takes the directory, made if it is missing; with an audit where wanted.
    pub(crate) fn open(path: &Path, audit: bool) -> Result<Self, StartError> {
        let unusable = |source| StartError::DataDir { path: path.to_owned(), source };
        fs::create_dir_all(path.join("topics")).map_err(unusable)?;
        let lock = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(path.join("LOCK"))
            .map_err(unusable)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(StartError::DataDirLocked { path: path.to_owned() });
            }
            Err(TryLockError::Error(source)) => return Err(unusable(source)),
        }
        let audit = audit.then(|| Audit::open(path)).transpose().map_err(unusable)?;
        Ok(Self { path: path.to_owned(), lock, audit: audit.map(Arc::new) })
    }

    /// Lets another broker have it.
    pub(crate) fn release(&self) {
        if let Err(error) = self.lock.unlock() {
            tracing::warn!(path = %self.path.display(), %error, "cannot unlock");
        }
    }

    pub(crate) fn load_registry(&self) -> Result<Option<SavedRegistry>, StartError> {
        load(&self.path.join("registry.json"))
    }

    pub(crate) fn save_registry(&self, registry: &SavedRegistry) -> io::Result<()> {
        save(&self.path.join("registry.json"), registry)
    }

    /// The directory of a topic; the name is checked, so it stays inside.
    pub(crate) fn topic(&self, name: &str) -> TopicDir {
        TopicDir { path: topic_path(&self.path, name), audit: self.audit.clone() }
    }

    /// The names of all topics.
    pub(crate) fn topics(&self) -> Result<Vec<String>, StartError> {
        topics(&self.path)
    }
}

/// The names of all topics in a data directory, in order.
pub(crate) fn topics(data_dir: &Path) -> Result<Vec<String>, StartError> {
    let root = data_dir.join("topics");
    let mut names = Vec::new();
    for namespace in entries(&root)? {
        for topic in entries(&root.join(&namespace))? {
            if root.join(&namespace).join(&topic).join(TOPIC_FILE).exists() {
                names.push(format!("/{namespace}/{topic}"));
            }
        }
    }
    names.sort_unstable();
    Ok(names)
}

/// The messages of a topic in a data directory, and the offset of the first.
pub(crate) fn messages(
    data_dir: &Path,
    topic: &str,
) -> Result<(u64, Vec<StreamMessage>), StartError> {
    segments::messages(&topic_path(data_dir, topic))
}

fn topic_path(data_dir: &Path, topic: &str) -> PathBuf {
    data_dir.join("topics").join(topic.trim_start_matches('/'))
}

impl TopicDir {
    pub(crate) fn create(&self) -> io::Result<()> {
        fs::create_dir_all(&self.path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Where it is noted what the topic does, if anywhere.
    pub(crate) fn audit(&self) -> Option<&Audit> {
        self.audit.as_deref()
    }

    pub(crate) fn load(&self) -> Result<Option<SavedTopic>, StartError> {
        load(&self.path.join(TOPIC_FILE))
    }

    pub(crate) fn save(&self, topic: &SavedTopic) -> io::Result<()> {
        save(&self.path.join(TOPIC_FILE), topic)
    }

    pub(crate) fn remove(&self) -> io::Result<()> {
        fs::remove_dir_all(&self.path)
    }
}

fn entries(path: &Path) -> Result<Vec<String>, StartError> {
    let unusable = |source| StartError::DataDir { path: path.to_owned(), source };
    let mut names = Vec::new();
    for entry in fs::read_dir(path).map_err(unusable)? {
        let entry = entry.map_err(unusable)?;
        if entry.path().is_dir() {
            names.push(entry.file_name().to_string_lossy().into_owned());
        }
    }
    Ok(names)
}

fn load<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, StartError> {
    match fs::read(path) {
        Ok(bytes) => serde_json::from_slice(&bytes)
            .map(Some)
            .map_err(|error| StartError::Damaged { path: path.to_owned(), source: error.into() }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(StartError::DataDir { path: path.to_owned(), source }),
    }
}

/// Replaces the file as a whole, so that a kill leaves the old or the new one.
fn save<T: Serialize>(path: &Path, value: &T) -> io::Result<()> {
    let beside = path.with_extension("tmp");
    let mut file = File::create(&beside)?;
    file.write_all(&serde_json::to_vec_pretty(value)?)?;
    fs::rename(&beside, path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_broker_is_told_that_the_directory_is_taken() {
        let dir = tempfile::tempdir().unwrap();
        let held = DataDir::open(dir.path(), false).unwrap();
        let error = DataDir::open(dir.path(), false).unwrap_err();
        assert!(matches!(error, StartError::DataDirLocked { .. }), "{error}");
        held.release();
        DataDir::open(dir.path(), false).unwrap();
    }

    #[test]
    fn a_file_in_the_way_of_the_directory_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        fs::write(&path, "").unwrap();
        let error = DataDir::open(&path, false).unwrap_err();
        assert!(error.to_string().contains(path.to_str().unwrap()), "{error}");
    }
}
