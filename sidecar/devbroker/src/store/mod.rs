//! The data directory.
//!
//! ```text
//! LOCK                         held while a broker uses the directory
//! registry.json                namespaces and schemas
//! topics/<namespace>/<topic>/  one directory per topic or partition
//!     topic.json               its settings, subscriptions and their cursors
//!     <offset>.log             its messages from that offset on
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
};

use serde::{Serialize, de::DeserializeOwned};

pub(crate) use saved::{SavedRegistry, SavedSubscription, SavedTopic};
pub(crate) use segments::Segments;

use crate::error::StartError;

const TOPIC_FILE: &str = "topic.json";

/// A data directory that this broker holds the lock of.
#[derive(Debug)]
pub(crate) struct DataDir {
    path: PathBuf,
    lock: File,
}

/// Where one topic is kept.
#[derive(Clone, Debug)]
pub(crate) struct TopicDir(PathBuf);

impl DataDir {
    /// Takes the directory, made if it is missing.
    pub(crate) fn open(path: &Path) -> Result<Self, StartError> {
        let unusable = |source| StartError::DataDir { path: path.to_owned(), source };
        fs::create_dir_all(path.join("topics")).map_err(unusable)?;
        let lock = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(path.join("LOCK"))
            .map_err(unusable)?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { path: path.to_owned(), lock }),
            Err(TryLockError::WouldBlock) => {
                Err(StartError::DataDirLocked { path: path.to_owned() })
            }
            Err(TryLockError::Error(source)) => Err(unusable(source)),
        }
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
        TopicDir(self.path.join("topics").join(name.trim_start_matches('/')))
    }

    /// The names of all topics.
    pub(crate) fn topics(&self) -> Result<Vec<String>, StartError> {
        let root = self.path.join("topics");
        let mut names = Vec::new();
        for namespace in entries(&root)? {
            for topic in entries(&root.join(&namespace))? {
                if root.join(&namespace).join(&topic).join(TOPIC_FILE).exists() {
                    names.push(format!("/{namespace}/{topic}"));
                }
            }
        }
        Ok(names)
    }
}

impl TopicDir {
    pub(crate) fn create(&self) -> io::Result<()> {
        fs::create_dir_all(&self.0)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    pub(crate) fn load(&self) -> Result<Option<SavedTopic>, StartError> {
        load(&self.0.join(TOPIC_FILE))
    }

    pub(crate) fn save(&self, topic: &SavedTopic) -> io::Result<()> {
        save(&self.0.join(TOPIC_FILE), topic)
    }

    pub(crate) fn remove(&self) -> io::Result<()> {
        fs::remove_dir_all(&self.0)
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
        let held = DataDir::open(dir.path()).unwrap();
        let error = DataDir::open(dir.path()).unwrap_err();
        assert!(matches!(error, StartError::DataDirLocked { .. }), "{error}");
        held.release();
        DataDir::open(dir.path()).unwrap();
    }

    #[test]
    fn a_file_in_the_way_of_the_directory_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        fs::write(&path, "").unwrap();
        let error = DataDir::open(&path).unwrap_err();
        assert!(error.to_string().contains(path.to_str().unwrap()), "{error}");
    }
}
