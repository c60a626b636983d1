//! The sink side: who is offered which record when, and what its results mean.
//!
//! A record is [`admit`](Dispatch::admit)ted, offered to a worker in a batch
//! ([`poll_any`](Dispatch::poll_any)), and resolved by the worker's
//! [`results`](Dispatch::results) or by what the retry rules make of them. Only an
//! [`Event::Resolved`] lets the intake ack it.
//!
//! After any call, and when [`next_wakeup`](Dispatch::next_wakeup) has passed:
//! `advance`, then `poll_any` until there is no batch, then `poll_event` until there
//! is no event. A batch that was polled counts as offered.
//!
//! Two subscriptions of one topic need two of these: an identity does not name the
//! subscription.

mod answer;
mod deliveries;
mod event;
mod membership;
mod offer;
mod settings;
mod status;
mod worker;

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
    time::Instant,
};

use self::worker::{Queue, Worker};
pub use self::{
    event::{
        Admission, DeadLetter, Departure, Event, HeldLane, Offer, RecordId, Status, Violation,
        WorkerId,
    },
    settings::{Settings, WorkerSettings},
};
use crate::{
    lane::Lanes,
    ledger::{Ledger, Place},
    outcome::FailureClass,
    record::Record,
    retry::SplitMix,
    slab::Key,
};
pub use crate::{
    lane::Ordering,
    retry::{OnExhausted, RetryPolicy},
    window::{Held, Limits},
};

/// All records of one sink connector, from their admission to their end.
#[derive(Debug)]
pub struct Dispatch {
    settings: Settings,
    random: SplitMix,
    ledger: Ledger,
    lanes: Lanes,
    workers: BTreeMap<WorkerId, Worker>,
    /// Workers that lanes may belong to.
    attending: Vec<WorkerId>,
    workers_joined: u64,
    /// Lanes of a single record: any worker may have them.
    anyone: Queue,
    /// Records up to this sequence need not linger.
    complete: u64,
    /// Failed records by the end of their backoff.
    retries: BTreeSet<(Instant, Key)>,
    events: VecDeque<Event>,
    successes: u64,
    late_failures: u64,
}

impl Dispatch {
    /// An empty one. `seed` feeds the jitter and the choice of workers.
    pub fn new(settings: Settings, seed: u64) -> Self {
        let mut random = SplitMix::new(seed);
        Self {
            ledger: Ledger::new(settings.remember),
            lanes: Lanes::new(settings.ordering, random.next_u64()),
            settings,
            random,
            workers: BTreeMap::new(),
            attending: Vec::new(),
            workers_joined: 0,
            anyone: Queue::default(),
            complete: 0,
            retries: BTreeSet::new(),
            events: VecDeque::new(),
            successes: 0,
            late_failures: 0,
        }
    }

    /// The delivery rules in force.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Takes a delivered record in hand, unless it is a repeat.
    pub fn admit(&mut self, now: Instant, record: Record) -> Admission {
        let fingerprint = record.identity.fingerprint();
        let admission = self.ledger.recognize(&record, fingerprint);
        if admission != Admission::Taken {
            return admission;
        }
        let bytes = record.encoded_len();
        if bytes > self.settings.max_record_bytes {
            let key = self.ledger.insert(now, record, fingerprint, bytes);
            self.refuse_oversize(now, key, bytes);
            return Admission::Taken;
        }
        let attending = &self.attending;
        let lane = self.lanes.of(&record, |hash| membership::choose(attending, hash));
        let key = self.ledger.insert(now, record, fingerprint, bytes);
        self.line_up(lane, key, bytes);
        Admission::Taken
    }

    /// The partition's stream is open (again): repeats follow.
    pub fn attached(&mut self, partition: &Arc<str>) {
        self.ledger.attached(partition);
    }

    /// What the attach repeats has come: identities that were finished before are
    /// forgotten, the latest ones one attach later.
    pub fn drained(&mut self, partition: &Arc<str>) {
        self.ledger.drained(partition);
    }

    /// Forgets what was never offered of a detached partition, which means: not
    /// delivered. Tells how many records.
    pub fn forget_unoffered(&mut self, partition: &Arc<str>) -> usize {
        let unoffered: Vec<_> = self
            .ledger
            .iter()
            .filter(|(_, entry)| entry.place == Place::Fresh)
            .filter(|(_, entry)| entry.record.identity.partition == *partition)
            .map(|(key, entry)| (key, entry.lane))
            .collect();
        let mut lanes = BTreeSet::new();
        for &(key, lane) in &unoffered {
            self.ledger.forget(key);
            lanes.extend(lane);
        }
        for lane in lanes {
            self.drop_forgotten(lane);
        }
        unoffered.len()
    }

    /// No more records can arrive until some are resolved: what waits goes out
    /// without its linger.
    pub fn flush(&mut self) {
        self.complete = self.ledger.last_sequence();
    }

    /// The next event; ask again until there is none.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// When to call [`advance`](Self::advance) and poll again, if nothing happens
    /// before.
    pub fn next_wakeup(&self) -> Option<Instant> {
        let retry = self.retries.first().map(|&(due, _)| due);
        let workers = self.workers.iter().flat_map(|(&id, worker)| {
            [self.result_deadline(worker), self.batch_deadline(id, worker)]
        });
        workers.chain([retry]).flatten().min()
    }

    /// Lets time pass: ends backoffs and finds result timeouts. `poll_batch` does
    /// so too.
    pub fn advance(&mut self, now: Instant) {
        while let Some(&(due, key)) = self.retries.first() {
            if due > now {
                break;
            }
            self.retries.pop_first();
            self.end_backoff(key);
        }
        self.find_result_timeouts(now);
    }

    fn end_backoff(&mut self, key: Key) {
        let Some(entry) = self.ledger.get_mut(key) else { return };
        entry.place = Place::Again { due: None };
        if let Some(lane) = entry.lane {
            self.settle(lane);
        }
    }

    fn refuse_oversize(&mut self, now: Instant, key: Key, bytes: usize) {
        let limit = self.settings.max_record_bytes;
        let reason =
            format!("the record takes up to {bytes} bytes in a frame, {limit} are allowed");
        self.give_up(now, key, FailureClass::Oversize, String::new(), reason);
    }

    fn line_up(&mut self, lane_key: Key, key: Key, bytes: usize) {
        if let Some(entry) = self.ledger.get_mut(key) {
            entry.lane = Some(lane_key);
        }
        if let Some(lane) = self.lanes.get_mut(lane_key) {
            lane.members += 1;
            lane.fresh.push_back(key);
            lane.fresh_held += Held::one(bytes);
        }
        self.settle(lane_key);
    }

    fn drop_forgotten(&mut self, lane_key: Key) {
        let Some(lane) = self.lanes.get_mut(lane_key) else { return };
        let before = lane.fresh.len();
        lane.fresh.retain(|&key| self.ledger.get(key).is_some());
        lane.members -= before - lane.fresh.len();
        lane.fresh_held = Held::default();
        for entry in lane.fresh.iter().filter_map(|&key| self.ledger.get(key)) {
            lane.fresh_held += Held::one(entry.bytes);
        }
        self.settle(lane_key);
    }
}
