//! Reads a data directory without running a broker on it.
//!
//! Meant for a broker that is stopped or was killed; of one that runs, what it has
//! not written yet counts as forgotten.

use std::{
    collections::HashSet,
    path::{Path, PathBuf},
};

use danube_core::proto::StreamMessage;

pub use crate::audit::{Audited, AuditedMessage};
use crate::{audit, error::StartError, store};

/// A message as the data directory holds it.
#[derive(Clone, Debug, PartialEq)]
pub struct Stored {
    /// Which one it is.
    pub id: AuditedMessage,
    /// When it was published, in milliseconds since 1970, as its producer said.
    pub publish_time_ms: u64,
    /// Its routing key.
    pub key: Option<String>,
    /// Its payload.
    pub payload: Vec<u8>,
}

/// The messages that are stored, of all topics in the order of their names. What all
/// subscriptions have acked is among them only with [`crate::Config::audit`].
///
/// # Errors
/// When the directory cannot be read, or is not one of a broker.
pub fn stored(data_dir: &Path) -> Result<Vec<Stored>, StartError> {
    let mut found = Vec::new();
    for topic in store::topics(data_dir)? {
        let (first, messages) = store::messages(data_dir, &topic)?;
        let numbered = (first..).zip(messages);
        found.extend(numbered.map(|(offset, message)| Stored::new(&topic, offset, message)));
    }
    Ok(found)
}

/// What the broker noted with [`crate::Config::audit`], oldest first.
///
/// # Errors
/// When the directory cannot be read, or is not one of a broker.
pub fn audited(data_dir: &Path) -> Result<Vec<Audited>, StartError> {
    audit::read(data_dir)
}

/// Where that is noted, one JSON object a line, for who wants to follow it.
pub fn audit_file(data_dir: &Path) -> PathBuf {
    audit::path(data_dir)
}

/// The publishes that the broker confirmed and then forgot: audited, not stored.
///
/// # Errors
/// When the directory cannot be read, or is not one of a broker.
pub fn forgotten(data_dir: &Path) -> Result<Vec<AuditedMessage>, StartError> {
    // The audit first: what it holds was stored, or is forgotten.
    let audited = audited(data_dir)?;
    let stored: HashSet<AuditedMessage> =
        stored(data_dir)?.into_iter().map(|stored| stored.id).collect();
    let published = audited.into_iter().filter_map(|line| match line {
        Audited::Published(message) => Some(message),
        Audited::Skipped { .. } => None,
    });
    Ok(published.filter(|message| !stored.contains(message)).collect())
}

impl Stored {
    fn new(topic: &str, offset: u64, message: StreamMessage) -> Self {
        Self {
            id: AuditedMessage::new(topic, offset, &message),
            publish_time_ms: message.publish_time,
            key: message.routing_key,
            payload: message.payload.into(),
        }
    }
}
