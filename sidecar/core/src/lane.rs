//! Order per key.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use hashbrown::HashTable;
use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::{
    behind::Behind,
    dispatch::WorkerId,
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
#[derive(Debug)]
struct LaneName {
    hash: u64,
    topic: Arc<str>,
    key: Option<Arc<str>>,
}

/// The name of a record's lane, in the record's own words.
#[derive(Clone, Copy)]
struct NameOf<'a> {
    topic: &'a Arc<str>,
    key: Option<&'a Arc<str>>,
}

impl<'a> NameOf<'a> {
    /// None for a record that has a lane of its own.
    fn new(ordering: Ordering, record: &'a Record) -> Option<Self> {
        match ordering {
            Ordering::Key => Some(Self { topic: &record.topic, key: Some(record.key.as_ref()?) }),
            Ordering::Partition => Some(Self { topic: &record.identity.partition, key: None }),
            Ordering::None => None,
        }
    }

    fn hash(self, seed: u64) -> u64 {
        let hash = xxh3_64_with_seed(self.topic.as_bytes(), seed);
        self.key.map_or(hash, |key| xxh3_64_with_seed(key.as_bytes(), hash))
    }

    fn is(self, name: &LaneName) -> bool {
        *self.topic == name.topic && self.key == name.key.as_ref()
    }

    fn owned(self, hash: u64) -> LaneName {
        LaneName { hash, topic: Arc::clone(self.topic), key: self.key.cloned() }
    }
}

/// Unresolved records that are offered in one order: `again`, then `fresh`.
#[derive(Debug)]
pub(crate) struct Lane {
    /// Of its name, which chooses its worker; none where it is the lane of a single
    /// record.
    pub(crate) hash: Option<u64>,
    /// Which worker it belongs to, as long as something that was offered there is
    /// unresolved: a failed record comes back to the worker that knows of it.
    pub(crate) home: Home,
    /// Which worker it is to belong to.
    pub(crate) target: Home,
    /// Unresolved records.
    pub(crate) members: usize,
    /// Records in hand at its home.
    pub(crate) in_hand: usize,
    /// What its home holds back behind a record that it did not write.
    pub(crate) behind: Behind,
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
    fn new(hash: Option<u64>, target: Home) -> Self {
        Self {
            hash,
            home: target,
            target,
            members: 0,
            in_hand: 0,
            behind: Behind::default(),
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

    /// A record of it is in hand no more.
    pub(crate) fn leaves_hand(&mut self) {
        self.in_hand -= 1;
        if self.in_hand == 0 {
            self.behind.clear();
        }
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
    /// before is looked at one by one: what failed goes when nothing else is in hand, and a
    /// suspect is not offered this way.
    pub(crate) fn offered(&self, ledger: &Ledger) -> Held {
        if self.holds > 0 || (self.home != self.target && !self.was_offered()) {
            return Held::default();
        }
        if self.again.is_empty() && self.fresh_suspects == 0 {
            return self.fresh_held;
        }
        let head = self.head().and_then(|head| ledger.get(head));
        let goes = |entry: &&Entry| {
            let due = matches!(entry.place, Place::Fresh | Place::Again { due: None, .. });
            due && !entry.suspect && (self.in_hand == 0 || !entry.tries.has_failed())
        };
        head.filter(goes).map_or_else(Held::default, |entry| Held::one(entry.bytes))
    }
}

/// All lanes with unresolved records.
#[derive(Debug)]
pub(crate) struct Lanes {
    ordering: Ordering,
    seed: u64,
    lanes: Slab<Lane>,
    /// Those with a name, by its hash.
    named: HashTable<Named>,
}

/// A lane with a name, which is there as long as the lane is.
#[derive(Debug)]
struct Named {
    name: LaneName,
    lane: Key,
}

impl Lanes {
    /// `seed` keeps producers from choosing keys that collide.
    pub(crate) fn new(ordering: Ordering, seed: u64) -> Self {
        Self { ordering, seed, lanes: Slab::default(), named: HashTable::new() }
    }

    /// The lane of a record. A new one belongs to what `choose` says for its hash.
    pub(crate) fn of(&mut self, record: &Record, choose: impl Fn(u64) -> Home) -> Key {
        let Some(name) = NameOf::new(self.ordering, record) else {
            return self.lanes.insert(Lane::new(None, Home::Anyone));
        };
        let hash = name.hash(self.seed);
        if let Some(named) =
            self.named.find(hash, |named| named.name.hash == hash && name.is(&named.name))
        {
            return named.lane;
        }
        let lane = self.lanes.insert(Lane::new(Some(hash), choose(hash)));
        let named = Named { name: name.owned(hash), lane };
        self.named.insert_unique(hash, named, |named| named.name.hash);
        lane
    }

    pub(crate) fn remove(&mut self, key: Key) {
        let Some(hash) = self.lanes.remove(key).and_then(|lane| lane.hash) else { return };
        if let Ok(named) = self.named.find_entry(hash, |named| named.lane == key) {
            named.remove();
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
}
