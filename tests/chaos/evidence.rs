//! What is known of a round when it is over, from its journals, the broker's own
//! files, and the sidecar's log.

use std::{
    collections::{BTreeMap, HashSet},
    path::Path,
};

use anyhow::Context as _;
use danube_devbroker::inspect::{self, Audited};
use serde_json::Value;

use crate::{
    journal::{Handled, Seen},
    sequence::Place,
};

/// How the system says that a disk is full.
const DISK_FULL: &str = "No space left on device";

/// A message's partition and offset.
pub type Offset = (String, u64);

/// What is known of a round.
#[derive(Clone, Debug, Default)]
pub struct Evidence {
    /// The topic's messages, by partition, in the order of their offsets.
    pub messages: Vec<Message>,
    /// What was in the dead-letter topic.
    pub letters: Vec<Letter>,
    /// Publishes to the topic that the broker confirmed and forgot, by its own audit.
    pub forgotten: HashSet<(Offset, Place)>,
    /// The same of the dead-letter topic, by `x-dedup-id`.
    pub forgotten_letters: HashSet<String>,
    /// What the broker passed over.
    pub skipped: HashSet<Offset>,
    /// What the sidecar says that the broker passed over.
    pub gaps: Vec<Gap>,
    /// What came after all, as it says.
    pub filled: HashSet<Offset>,
    /// What the sinks did, in order.
    pub handled: Vec<Handled>,
    /// What the source saw, in order.
    pub seen: Vec<Seen>,
    /// Whether a sidecar said that its disk is full.
    pub disk_felt: bool,
}

/// A message of the topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// The partition's own topic.
    pub partition: String,
    /// Offset in it.
    pub offset: u64,
    /// In milliseconds since 1970.
    pub publish_time_ms: u64,
    /// Its place in the external system.
    pub place: Place,
    /// Its routing key.
    pub key: Option<String>,
}

/// A dead letter.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Letter {
    /// Its routing key.
    pub key: Option<String>,
    /// Its payload.
    pub payload: String,
    /// Its attributes.
    pub attributes: BTreeMap<String, String>,
}

/// Offsets that the sidecar says are missing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gap {
    /// The partition's own topic.
    pub partition: String,
    /// First missing offset.
    pub first: u64,
    /// Last missing offset.
    pub last: u64,
}

impl Evidence {
    /// Reads what the broker has in its data directory, of these two topics.
    pub fn of_broker(&mut self, data_dir: &Path, topic: &str, letters: &str) -> anyhow::Result<()> {
        for stored in inspect::stored(data_dir)? {
            if is_of(&stored.id.topic, topic) {
                self.messages.push(Message {
                    place: place_of(&stored.id.attributes)?,
                    partition: stored.id.topic,
                    offset: stored.id.offset,
                    publish_time_ms: stored.publish_time_ms,
                    key: stored.key,
                });
            } else if stored.id.topic == letters {
                self.letters.push(Letter {
                    key: stored.key,
                    payload: String::from_utf8_lossy(&stored.payload).into_owned(),
                    attributes: stored.id.attributes,
                });
            }
        }
        for line in inspect::audited(data_dir)? {
            if let Audited::Skipped { message, .. } = line {
                self.skipped.insert((message.topic, message.offset));
            }
        }
        for message in inspect::forgotten(data_dir)? {
            if is_of(&message.topic, topic) {
                let place = place_of(&message.attributes)?;
                self.forgotten.insert(((message.topic, message.offset), place));
            } else if message.topic == letters {
                self.forgotten_letters.extend(message.attributes.get("x-dedup-id").cloned());
            }
        }
        Ok(())
    }

    /// Reads what a sidecar said about gaps and its disk.
    pub fn of_sidecar(&mut self, log: &str) {
        self.disk_felt |= log.contains(DISK_FULL);
        for line in log.lines().filter(|line| line.contains("passed over")) {
            let Ok(line) = serde_json::from_str::<Value>(line) else { continue };
            let number = |name: &str| line[name].as_u64();
            let partition = line["partition"].as_str().unwrap_or_default().to_owned();
            if let (Some(first), Some(last)) = (number("first"), number("last")) {
                self.gaps.push(Gap { partition, first, last });
            } else if let Some(offset) = number("offset") {
                self.filled.insert((partition, offset));
            }
        }
    }
}

/// Whether a stored topic is this one or a partition of it.
fn is_of(stored: &str, topic: &str) -> bool {
    let part = stored.strip_prefix(topic).and_then(|rest| rest.strip_prefix("-part-"));
    stored == topic || part.is_some_and(|part| part.parse::<u32>().is_ok())
}

/// A message's place in the external system, as the sidecar says it.
pub fn place_of(attributes: &BTreeMap<String, String>) -> anyhow::Result<Place> {
    let number = |name: &str| -> anyhow::Result<u64> {
        let value = attributes.get(name).with_context(|| format!("a message without {name}"))?;
        Ok(value.parse()?)
    };
    Ok((number("x-source-partition")?, number("x-source-offset")?))
}
