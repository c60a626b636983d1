//! The external system: partitions of entries, which are read again from a position.

/// The connector's name.
pub const CONNECTOR: &str = "source";

/// Topics that it declares, and one that it declares only when that is mended.
pub const TOPICS: [&str; 3] = ["/default/a", "/default/b", "/default/undeclared"];

/// What becomes of an entry at the sidecar and the broker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// The broker takes it.
    Well,
    /// The broker never takes it.
    Refused,
    /// It is larger than the sidecar takes.
    Oversize,
    /// Its topic is not declared.
    Undeclared,
}

/// Where an entry stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Place {
    pub partition: usize,
    pub offset: u64,
}

/// One entry, and what happened to it.
#[derive(Clone, Debug)]
pub struct Entry {
    pub key: Option<u8>,
    pub topic: usize,
    pub fate: Fate,
    /// How often the broker took it.
    pub taken: u32,
    /// How often the broker took its dead letter.
    pub letters: u32,
    /// The sidecar knows its end.
    pub settled: bool,
}

/// A sequence of entries.
#[derive(Debug, Default)]
pub struct Partition {
    /// Whether its records carry a position; entries of the others are forgotten when
    /// they are committed, like those of a queue.
    pub positioned: bool,
    pub entries: Vec<Entry>,
    /// Entries before this one are committed.
    pub committed: u64,
    /// Entries before this one are settled; moved when asked.
    settled: u64,
}

impl Partition {
    pub fn new(positioned: bool) -> Self {
        Self { positioned, ..Self::default() }
    }

    /// Entries before this one are settled.
    pub fn settled(&mut self) -> u64 {
        while self.entries.get(self.settled as usize).is_some_and(|entry| entry.settled) {
            self.settled += 1;
        }
        self.settled
    }

    /// Whether nothing is left to happen.
    pub fn is_complete(&self) -> bool {
        self.committed == self.entries.len() as u64
    }
}

/// What orders a record among others of its session.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Lane {
    Key(usize, u8),
    Partition(usize, usize),
    Topic(usize),
}

impl Lane {
    pub fn of(entry: &Entry, partition: usize, positioned: bool) -> Self {
        match (entry.key, positioned) {
            (Some(key), _) => Self::Key(entry.topic, key),
            (None, true) => Self::Partition(entry.topic, partition),
            (None, false) => Self::Topic(entry.topic),
        }
    }
}

/// The name of a source partition.
pub fn name(partition: usize) -> String {
    format!("p{partition}")
}

/// The partition of this name.
pub fn number(name: &str) -> Option<usize> {
    name.strip_prefix('p')?.parse().ok()
}

/// What a connector stores with a position.
pub fn metadata(offset: u64) -> Option<String> {
    offset.is_multiple_of(2).then(|| format!("after {offset}"))
}
