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
//! At start: [`recall`](Dispatch::recall) what the store kept of
//! [`Event::Suspected`]. While the breaker is [open](Breaker::Open) nothing is
//! offered. A driver without a disk then detaches and forgets what was not offered,
//! and attaches again at [`Breaker::HalfOpen`]: the first record that comes is tried.
//!
//! Beside the `Record` itself, one in hand costs less than 1 KiB: its entry (160 bytes),
//! its lane (224 and its queues, shared by all records of its key), its places in maps
//! and rings; all of these may be twice as large right after they grew. A finished one
//! costs about 64 bytes, as long as it is remembered.
//!
//! Two subscriptions of one topic need two of these: an identity does not name the
//! subscription.

mod answer;
mod breaker;
mod deliveries;
mod event;
mod evidence;
mod failing;
mod failures;
mod halfopen;
mod membership;
mod offer;
mod operate;
mod pace;
mod pauses;
mod quarantine;
mod quota;
mod retrying;
mod settings;
mod status;
mod suspects;
mod words;
mod worker;

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
    time::Instant,
};

pub use self::{
    breaker::Breaker,
    event::{
        Admission, BusyWorker, DeadLetter, Departure, Event, HeldLane, Offer, RecordId, Status,
        Violation, WorkerId,
    },
    evidence::{Evidence, Health},
    failing::{Failing, Stage},
    operate::{Order, Unfit},
    quarantine::Suspicion,
    settings::{Settings, WorkerSettings},
};
use self::{
    breaker::Circuit,
    evidence::Signs,
    quarantine::Quarantine,
    words::LastWords,
    worker::{Queue, Worker},
};
use crate::{
    lane::Lanes,
    ledger::{Ledger, Place},
    outcome::FailureClass,
    record::{Fingerprint, Record},
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
    circuit: Circuit,
    quarantine: Quarantine,
    last_words: LastWords,
    /// The breaker's state that the driver was told last.
    told: Breaker,
    events: VecDeque<Event>,
    signs: Signs,
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
            circuit: Circuit::default(),
            quarantine: Quarantine::default(),
            last_words: LastWords::default(),
            told: Breaker::Closed,
            events: VecDeque::new(),
            signs: Signs::default(),
            late_failures: 0,
        }
    }

    /// Changes the retry rules, from the next failure on.
    pub fn retry_policy(&mut self, retry: RetryPolicy) {
        self.settings.retry = retry;
    }

    /// The delivery rules in force.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Takes a delivered record in hand, unless it is a repeat.
    pub fn admit(&mut self, now: Instant, record: impl Into<Arc<Record>>) -> Admission {
        let record = record.into();
        let fingerprint = record.identity.fingerprint();
        self.admit_known(now, record, fingerprint)
    }

    /// As [`admit`](Self::admit), for who knows the record's fingerprint already.
    pub fn admit_known(
        &mut self,
        now: Instant,
        record: Arc<Record>,
        fingerprint: Fingerprint,
    ) -> Admission {
        let known = match self.ledger.recognize(&record, fingerprint) {
            Ok(known) => known,
            Err(repeat) => return repeat,
        };
        let bytes = record.encoded_len();
        if bytes > self.settings.max_record_bytes {
            let key = self.ledger.insert(now, record, fingerprint, known, bytes);
            self.refuse_oversize(now, key, bytes);
            return Admission::Taken;
        }
        let attending = &self.attending;
        let lane = self.lanes.of(&record, |hash| membership::choose(attending, hash));
        let key = self.ledger.insert(now, record, fingerprint, known, bytes);
        self.suspect_again(key);
        self.line_up(lane, key, bytes);
        Admission::Taken
    }

    /// Takes a record in hand even if it is finished and its identity remembered:
    /// a replay. One that is in hand is not offered twice.
    pub fn admit_again(&mut self, now: Instant, record: impl Into<Arc<Record>>) -> Admission {
        let record = record.into();
        self.ledger.forget_finished(&record);
        self.admit(now, record)
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
            self.forget_suspect(key);
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

    /// When after `now` to call [`advance`](Self::advance) and poll again, if nothing
    /// happens before. What is due at `now` and was not done by that is left out: it
    /// waits for something else than time, such as room at its worker.
    pub fn next_wakeup(&self, now: Instant) -> Option<Instant> {
        let retry = self.retries.first().map(|&(due, _)| due);
        let workers = self.workers.iter().flat_map(|(&id, worker)| {
            let batch = self.batch_deadline(id, worker);
            [self.result_deadline(worker), batch, worker.pace.wakeup()]
        });
        let moments =
            workers.chain([retry, self.circuit.wakeup(), self.quarantine_wakeup(now)]).flatten();
        moments.filter(|&at| at > now).min()
    }

    /// Lets time pass: ends backoffs and pauses, and finds result timeouts. `poll_batch` does
    /// so too.
    pub fn advance(&mut self, now: Instant) {
        while let Some(&(due, key)) = self.retries.first() {
            if due > now {
                break;
            }
            self.retries.pop_first();
            self.end_backoff(key);
        }
        self.end_pauses(now);
        self.circuit.advance(now);
        self.tell_breaker(now);
        self.find_result_timeouts(now);
    }

    fn end_backoff(&mut self, key: Key) {
        let Some(entry) = self.ledger.get_mut(key) else { return };
        entry.place = Place::READY;
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
        let Some(entry) = self.ledger.get_mut(key) else { return };
        entry.lane = Some(lane_key);
        if let Some(lane) = self.lanes.get_mut(lane_key) {
            lane.members += 1;
            lane.fresh.push_back(key);
            lane.fresh_held += Held::one(bytes);
            lane.fresh_suspects += usize::from(entry.suspect);
        }
        self.settle(lane_key);
    }

    fn drop_forgotten(&mut self, lane_key: Key) {
        let Some(lane) = self.lanes.get_mut(lane_key) else { return };
        let before = lane.fresh.len();
        lane.fresh.retain(|&key| self.ledger.get(key).is_some());
        lane.members -= before - lane.fresh.len();
        (lane.fresh_held, lane.fresh_suspects) = (Held::default(), 0);
        for entry in lane.fresh.iter().filter_map(|&key| self.ledger.get(key)) {
            lane.fresh_held += Held::one(entry.bytes);
            lane.fresh_suspects += usize::from(entry.suspect);
        }
        self.settle(lane_key);
    }
}
