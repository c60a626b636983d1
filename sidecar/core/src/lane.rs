//! Order per key.

use std::{
    collections::{BTreeMap, VecDeque},
    hash::{Hash, Hasher},
    sync::Arc,
};

use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::{
    dispatch::WorkerId,
    hash::PrehashedMap,
    ledger::{Entry, Ledger, Place},
    record::Record,
    slab::{Key, Slab},
    window::Held,
};

/// Which records are delivered one after the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ordering {
    /// Those of one routing key of a topic; a record without a key waits for nobody.
    Key,
    /// Those of one partition.
    Partition,
    /// None.
    None,
}

/// What the records of one lane have in common. A lane is exactly that, not a
/// bucket of its hash.
#[derive(Clone, Debug, PartialEq, Eq)]
struct LaneName {
    hash: u64,
    topic: Arc<str>,
    key: Option<Arc<str>>,
}

impl Hash for LaneName {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.hash);
    }
}

/// Unresolved records that are offered in one order: `again`, then `fresh`.
#[derive(Debug)]
pub(crate) struct Lane {
    /// None where it is the lane of a single record.
    name: Option<LaneName>,
    /// Which worker it belongs to, as long as something that was offered there is
    /// unresolved: a failed record comes back to the worker that knows of it.
    pub(crate) home: Home,
    /// Which worker it is to belong to.
    pub(crate) target: Home,
    /// Unresolved records.
    pub(crate) members: usize,
    /// Records in hand at its home.
    pub(crate) in_hand: usize,
    /// Records that keep the lane from offering anything.
    pub(crate) holds: usize,
    /// Offered before and to be offered again, by sequence. First occurrences are
    /// in order, so all of these come before what is fresh.
    pub(crate) again: BTreeMap<u64, Key>,
    /// Never offered.
    pub(crate) fresh: VecDeque<Key>,
    pub(crate) fresh_held: Held,
    /// How many of these are suspects since an earlier start.
    pub(crate) fresh_suspects: usize,
    /// Whether it stands in its home's queue.
    pub(crate) queued: bool,
    /// How much of it its home's queue counts as waiting.
    pub(crate) counted: Held,
}

/// Where a lane's records are offered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Home {
    /// To one worker.
    Worker(WorkerId),
    /// To whichever worker has least in hand: lanes of a single record.
    Anyone,
    /// To nobody, while nobody is there.
    Nowhere,
}

impl Lane {
    fn new(name: Option<LaneName>, target: Home) -> Self {
        Self {
            name,
            home: target,
            target,
            members: 0,
            in_hand: 0,
            holds: 0,
            again: BTreeMap::new(),
            fresh: VecDeque::new(),
            fresh_held: Held::default(),
            fresh_suspects: 0,
            queued: false,
            counted: Held::default(),
        }
    }

    /// The record that is next, whether or not it may be offered now.
    pub(crate) fn head(&self) -> Option<Key> {
        self.again.values().next().or_else(|| self.fresh.front()).copied()
    }

    /// Takes its head, of `bytes`, out.
    pub(crate) fn pop_head(&mut self, bytes: usize, suspect: bool) {
        if self.again.pop_first().is_none() && self.fresh.pop_front().is_some() {
            self.fresh_held -= Held::one(bytes);
            self.fresh_suspects -= usize::from(suspect);
        }
    }

    /// Whether it has a record in backoff, or one that is to be offered once more.
    pub(crate) fn was_offered(&self) -> bool {
        !self.again.is_empty()
    }

    /// What may be offered now.
    ///
    /// While a failed record is away nothing else goes, and a lane that is to move
    /// offers nothing new until all that it has offered is resolved. What was offered
    /// before goes one by one, because any of it may turn out to be held. A suspect is
    /// not offered this way.
    pub(crate) fn offered(&self, ledger: &Ledger) -> Held {
        if self.holds > 0 || (self.home != self.target && !self.was_offered()) {
            return Held::default();
        }
        if self.again.is_empty() && self.fresh_suspects == 0 {
            return self.fresh_held;
        }
        match self.head().and_then(|head| ledger.get(head)) {
            Some(Entry {
                place: Place::Fresh | Place::Again { due: None, .. },
                suspect: false,
                bytes,
                ..
            }) => Held::one(*bytes),
            _ => Held::default(),
        }
    }

    /// The hash that chooses its worker; none for the lane of a single record.
    pub(crate) fn hash(&self) -> Option<u64> {
        self.name.as_ref().map(|name| name.hash)
    }
}

/// All lanes with unresolved records.
#[derive(Debug)]
pub(crate) struct Lanes {
    ordering: Ordering,
    seed: u64,
    lanes: Slab<Lane>,
    names: PrehashedMap<LaneName, Key>,
}

impl Lanes {
    /// `seed` keeps producers from choosing keys that collide.
    pub(crate) fn new(ordering: Ordering, seed: u64) -> Self {
        Self { ordering, seed, lanes: Slab::default(), names: PrehashedMap::default() }
    }

    /// The lane of a record. A new one belongs to what `choose` says for its hash.
    pub(crate) fn of(&mut self, record: &Record, choose: impl Fn(u64) -> Home) -> Key {
        let Some(name) = self.name(record) else {
            return self.lanes.insert(Lane::new(None, Home::Anyone));
        };
        if let Some(&key) = self.names.get(&name) {
            return key;
        }
        let lane = Lane::new(Some(name.clone()), choose(name.hash));
        let key = self.lanes.insert(lane);
        self.names.insert(name, key);
        key
    }

    pub(crate) fn remove(&mut self, key: Key) {
        if let Some(name) = self.lanes.remove(key).and_then(|lane| lane.name) {
            self.names.remove(&name);
        }
    }

    pub(crate) fn get(&self, key: Key) -> Option<&Lane> {
        self.lanes.get(key)
    }

    pub(crate) fn get_mut(&mut self, key: Key) -> Option<&mut Lane> {
        self.lanes.get_mut(key)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (Key, &Lane)> {
        self.lanes.iter()
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = (Key, &mut Lane)> {
        self.lanes.iter_mut()
    }

    pub(crate) fn len(&self) -> usize {
        self.lanes.len()
    }

    fn name(&self, record: &Record) -> Option<LaneName> {
        let (topic, key) = match self.ordering {
            Ordering::Key => (&record.topic, Some(record.key.as_ref()?)),
            Ordering::Partition => (&record.identity.partition, None),
            Ordering::None => return None,
        };
        let mut hash = xxh3_64_with_seed(topic.as_bytes(), self.seed);
        if let Some(key) = key {
            hash = xxh3_64_with_seed(key.as_bytes(), hash);
        }
        Some(LaneName { hash, topic: Arc::clone(topic), key: key.cloned() })
    }
}
