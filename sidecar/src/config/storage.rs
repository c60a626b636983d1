//! What may be kept on disk or in an object store, and how much of it: `[inbox]`,
//! `[dead_letter]`, `[checkpoints]`.

use std::{collections::BTreeMap, path::Path, time::Duration};

use danube_sidecar_store::ObjectLocation;

use super::{ConfigError, OnReject, file};

/// The inbox: records on disk between Danube and the workers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inbox {
    /// Whether there is one. Default: yes where there is a `data_dir`.
    pub enabled: bool,
    /// Whether a record is fsynced before Danube's ack; else the write has reached
    /// the operating system, and the fsync follows. Default: no.
    pub fsync: bool,
    /// Disk budget; beyond it Danube holds what comes. Default: 10 GiB.
    pub max_bytes: u64,
    /// How long resolved records stay, so that `replay` can offer them again.
    /// Default: not at all.
    pub retain: Duration,
}

impl Default for Inbox {
    fn default() -> Self {
        Self { enabled: false, fsync: false, max_bytes: 10 << 30, retain: Duration::ZERO }
    }
}

/// What happens to records that cannot be written or published.
#[derive(Clone, Debug)]
pub struct DeadLetters {
    /// Whether there are dead letters.
    pub enabled: bool,
    /// Their topic; none: `/default/dlq-<connector>`.
    pub topic: Option<String>,
    /// What happens to source records that can never be published.
    pub on_reject: OnReject,
    /// Disk budget of the local copies; the oldest go first. Default: 1 GiB.
    pub max_bytes: u64,
    /// How long local copies stay. Default: 30 days.
    pub max_age: Duration,
}

impl Default for DeadLetters {
    fn default() -> Self {
        Self {
            enabled: true,
            topic: None,
            on_reject: OnReject::default(),
            max_bytes: 1 << 30,
            max_age: Duration::from_secs(30 * 24 * 60 * 60),
        }
    }
}

/// The connector's table over the root's over the defaults.
pub(super) fn inbox(
    own: &file::Inbox,
    root: &file::Inbox,
    data_dir: Option<&Path>,
) -> Result<Inbox, ConfigError> {
    let default = Inbox::default();
    let enabled = own.enabled.or(root.enabled);
    if enabled == Some(true) && data_dir.is_none() {
        return Err(ConfigError::Unusable {
            key: "inbox.enabled".to_owned(),
            value: "true".to_owned(),
            remedy: "the inbox is kept on disk: set [sidecar] data_dir".to_owned(),
        });
    }
    Ok(Inbox {
        enabled: enabled.unwrap_or(data_dir.is_some()),
        fsync: own.fsync.or(root.fsync).unwrap_or(default.fsync),
        max_bytes: own.max_bytes.or(root.max_bytes).map_or(default.max_bytes, |size| size.0),
        retain: own.retain.or(root.retain).map_or(default.retain, |span| span.0),
    })
}

/// The connector's table, with the root's budgets where it names none.
pub(super) fn dead_letters(own: &file::DeadLetter, root: &file::DeadLetter) -> DeadLetters {
    let default = DeadLetters::default();
    DeadLetters {
        enabled: own.enabled,
        topic: own.topic.as_ref().map(ToString::to_string),
        on_reject: own.on_reject,
        max_bytes: own.max_bytes.or(root.max_bytes).map_or(default.max_bytes, |size| size.0),
        max_age: own.max_age.or(root.max_age).map_or(default.max_age, |span| span.0),
    }
}

/// Where positions live, if not in the data directory.
pub(super) fn checkpoints(table: file::Checkpoints) -> Result<Option<ObjectLocation>, ConfigError> {
    let Some(url) = table.url else {
        return match table.options.keys().next() {
            None => Ok(None),
            Some(option) => Err(ConfigError::Unusable {
                key: "checkpoints.options".to_owned(),
                value: option.clone(),
                remedy: "options belong to an object store: set [checkpoints] url too".to_owned(),
            }),
        };
    };
    let options: BTreeMap<String, String> =
        table.options.into_iter().map(|(name, value)| (name, plain(value))).collect();
    match ObjectLocation::new(&url, options) {
        Ok(location) => Ok(Some(location)),
        Err(problem) => Err(ConfigError::Unusable {
            key: "checkpoints.url".to_owned(),
            value: url,
            remedy: problem.to_string(),
        }),
    }
}

/// A value as the object store's options take it: without TOML's quotes.
fn plain(value: toml::Value) -> String {
    match value {
        toml::Value::String(text) => text,
        other => other.to_string(),
    }
}
