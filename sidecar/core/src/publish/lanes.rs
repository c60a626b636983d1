//! One publish in flight per lane, because concurrent sends on a Danube producer
//! do not keep their order.

use std::{collections::VecDeque, sync::Arc};

use super::Accepted;
use crate::{
    hash::FastMap,
    slab::{Key, Slab},
};

/// What a source record's lane is: its routing key, else its source partition,
/// else its topic.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct LaneName {
    topic: Arc<str>,
    by: By,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum By {
    Key(Arc<str>),
    SourcePartition(Arc<str>),
    Topic,
}

impl LaneName {
    pub(super) fn of<M>(record: &Accepted<M>) -> Self {
        let by = match (&record.key, &record.position) {
            (Some(key), _) => By::Key(Arc::clone(key)),
            (None, Some(position)) => By::SourcePartition(Arc::clone(&position.source_partition)),
            (None, None) => By::Topic,
        };
        Self { topic: Arc::clone(&record.topic), by }
    }
}

/// The lanes that have records, taking turns.
#[derive(Debug)]
pub(super) struct Lanes<R> {
    lanes: Slab<Lane<R>>,
    names: FastMap<LaneName, Key>,
    /// Lanes with a record waiting and none in flight.
    ready: VecDeque<Key>,
    in_flight: FastMap<u64, Key>,
}

#[derive(Debug)]
struct Lane<R> {
    name: LaneName,
    waiting: VecDeque<(u64, R)>,
}

impl<R> Default for Lanes<R> {
    fn default() -> Self {
        Self {
            lanes: Slab::default(),
            names: FastMap::default(),
            ready: VecDeque::new(),
            in_flight: FastMap::default(),
        }
    }
}

impl<R> Lanes<R> {
    pub(super) fn push(&mut self, name: LaneName, number: u64, record: R) {
        if let Some(lane) = self.names.get(&name).and_then(|&key| self.lanes.get_mut(key)) {
            lane.waiting.push_back((number, record));
            return;
        }
        let waiting = VecDeque::from([(number, record)]);
        let key = self.lanes.insert(Lane { name: name.clone(), waiting });
        self.names.insert(name, key);
        self.ready.push_back(key);
    }

    /// Takes the next record in flight.
    pub(super) fn pop(&mut self) -> Option<(u64, R)> {
        let key = self.ready.pop_front()?;
        let (number, record) = self.lanes.get_mut(key)?.waiting.pop_front()?;
        self.in_flight.insert(number, key);
        Some((number, record))
    }

    /// Ends a flight, which lets the lane's next record go; tells whether there
    /// was one.
    pub(super) fn done(&mut self, number: u64) -> bool {
        let Some(key) = self.in_flight.remove(&number) else { return false };
        let Some(lane) = self.lanes.get(key) else { return false };
        if lane.waiting.is_empty() {
            self.names.remove(&lane.name);
            self.lanes.remove(key);
        } else {
            self.ready.push_back(key);
        }
        true
    }

    pub(super) fn in_flight(&self) -> usize {
        self.in_flight.len()
    }
}
