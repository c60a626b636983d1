//! The naive model: plain lists, searched from end to end. It foretells every
//! event but the length of a backoff.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use super::trouble::{Heard, Trouble};
use danube_sidecar_core::{
    dispatch::{
        Admission, DeadLetter, Departure, Event, Evidence, Health, Held, OnExhausted, Ordering,
        RecordId, Settings, WorkerId, WorkerSettings,
    },
    outcome::{DeliveryId, FailureClass, Outcome, Resolution, Results},
    record::Record,
};

/// An event, as far as the model foretells it: what happened to which offset of
/// which partition, at which attempt.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Expected(&'static str, Arc<str>, u64, u32);

impl Expected {
    pub(crate) fn of(event: &Event) -> Option<Self> {
        Some(match event {
            Event::Breaker(_) | Event::Suspected { .. } | Event::AskHealth { .. } => return None,
            Event::Resolved { partition, offset, how, .. } => {
                Self(resolved(*how), Arc::clone(partition), *offset, 0)
            }
            Event::DeadLetter(letter) => Self::letter(letter.class.as_str(), letter),
            Event::GivenUp(letter) => Self::letter("given up", letter),
            Event::ResultTimeout { worker } => Self::timeout(*worker),
            Event::Suspended { record, attempt, .. } => Self::record("suspended", record, *attempt),
            Event::Retrying { record, attempt, .. } => Self::record("retrying", record, *attempt),
        })
    }

    fn letter(what: &'static str, letter: &DeadLetter) -> Self {
        Self::record(what, &letter.record, letter.attempt)
    }

    fn record(what: &'static str, record: &Record, attempt: u32) -> Self {
        Self(what, Arc::clone(&record.identity.partition), record.identity.offset, attempt)
    }

    fn timeout(worker: WorkerId) -> Self {
        Self("timeout", "".into(), worker.0, 0)
    }
}

fn resolved(how: Resolution) -> &'static str {
    match how {
        Resolution::Acked => "acked",
        Resolution::Filtered => "filtered",
        Resolution::DeadLettered => "dead-lettered",
        Resolution::Skipped => "skipped",
    }
}

#[derive(Debug)]
pub(super) struct Entry {
    pub(super) record: Record,
    pub(super) bytes: usize,
    /// Its number in the model's list of lane names.
    pub(super) lane: Option<usize>,
    pub(super) state: State,
    pub(super) attempt: u32,
    pub(super) crashes: u32,
    pub(super) suspect: bool,
    /// When it was alone in hand at a crash, being a suspect.
    pub(super) alone: Vec<Instant>,
    /// The latest of these at which nothing else was there, and whether the external system
    /// was said to be well before.
    pub(super) lone: Vec<(Instant, bool)>,
    /// When it may be offered at the earliest, its last failure not having counted.
    pub(super) early: Option<Instant>,
    pub(super) deliveries: Vec<(WorkerId, u64)>,
    pub(super) failures: u32,
    pub(super) counted: u32,
    /// How long the history was at its last attempt.
    pub(super) tried: usize,
    pub(super) first_failure: Option<Instant>,
    /// What the connector asked for when it failed last.
    pub(super) retry_after: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum State {
    Waiting { not_before: Option<Instant> },
    InHand { worker: WorkerId, delivery: u64, since: Instant },
    Letter(Option<RecordId>),
    Suspended,
    Resolved,
    Forgotten,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sign {
    Success,
    Health,
}

#[derive(Debug)]
pub(super) struct Worker {
    pub(super) id: WorkerId,
    pub(super) settings: WorkerSettings,
    pub(super) issued: u64,
    pub(super) draining: bool,
    pub(super) timed_out: bool,
    pub(super) left: bool,
    pub(super) joined: Instant,
    /// Its last word on its external system, and how long the history was then.
    pub(super) health: Option<(Health, usize)>,
}

pub(crate) struct Model {
    pub(super) rules: Settings,
    pub(super) lanes: Vec<(Arc<str>, Option<Arc<str>>)>,
    /// In the order of their admission; a record that was forgotten comes again.
    pub(super) entries: Vec<Entry>,
    pub(super) workers: Vec<Worker>,
    /// Successes and words on external systems, in their order.
    pub(super) history: Vec<Sign>,
    pub(super) late_failures: u64,
    pub(super) trouble: Trouble,
    pub(super) expected: Vec<Expected>,
}

impl Entry {
    pub(super) fn is(&self, record: &Record) -> bool {
        self.record.identity == record.identity
    }

    pub(super) fn is_unresolved(&self) -> bool {
        !matches!(self.state, State::Resolved | State::Forgotten)
    }

    pub(super) fn holds(&self) -> bool {
        self.failures > 0 || self.suspect
    }

    pub(super) fn in_hand_at(&self, id: WorkerId) -> bool {
        matches!(self.state, State::InHand { worker, .. } if worker == id)
    }

    pub(super) fn is_waiting(&self) -> bool {
        matches!(self.state, State::Waiting { .. })
    }
}

impl Model {
    pub(crate) fn new(rules: Settings) -> Self {
        Self {
            rules,
            lanes: vec![],
            entries: vec![],
            workers: vec![],
            history: vec![],
            late_failures: 0,
            trouble: Trouble::default(),
            expected: vec![],
        }
    }

    /// What may be said of a delivered record.
    pub(crate) fn admission(&self, record: &Record) -> Vec<Admission> {
        match self.entries.iter().rfind(|entry| entry.is(record)) {
            None => vec![Admission::Taken],
            Some(entry) => match entry.state {
                State::Forgotten => vec![Admission::Taken],
                State::Resolved => vec![Admission::Resolved],
                _ => vec![Admission::InHand],
            },
        }
    }

    pub(crate) fn taken(&mut self, record: Record) {
        let lane = self.lane(&record);
        self.entries.push(Entry {
            bytes: record.encoded_len(),
            record,
            lane,
            state: State::Waiting { not_before: None },
            attempt: 0,
            crashes: 0,
            suspect: false,
            alone: vec![],
            lone: vec![],
            early: None,
            deliveries: vec![],
            failures: 0,
            counted: 0,
            tried: 0,
            first_failure: None,
            retry_after: Duration::ZERO,
        });
        let last = self.entries.len() - 1;
        if self.entries[last].bytes > self.rules.max_record_bytes {
            self.give_up(last, FailureClass::Oversize);
        }
    }

    fn lane(&mut self, record: &Record) -> Option<usize> {
        let name = match self.rules.ordering {
            Ordering::Key => (record.topic.clone(), Some(record.key.clone()?)),
            Ordering::Partition => (record.identity.partition.clone(), None),
            Ordering::None => return None,
        };
        let known = self.lanes.iter().position(|lane| *lane == name);
        Some(known.unwrap_or_else(|| {
            self.lanes.push(name);
            self.lanes.len() - 1
        }))
    }

    pub(crate) fn forget_unoffered(&mut self, partition: &str) -> usize {
        let mut forgotten = 0;
        for entry in &mut self.entries {
            let here = *entry.record.identity.partition == *partition;
            if here && entry.is_waiting() && entry.attempt == 0 {
                entry.state = State::Forgotten;
                forgotten += 1;
            }
        }
        forgotten
    }

    pub(crate) fn join(&mut self, id: WorkerId, settings: WorkerSettings, now: Instant) {
        assert!(self.workers.iter().all(|worker| worker.id != id), "worker ids are not reused");
        let worker = Worker {
            id,
            settings,
            issued: 0,
            draining: false,
            timed_out: false,
            left: false,
            joined: now,
            health: None,
        };
        self.workers.push(worker);
        self.joined();
    }

    pub(crate) fn resize(&mut self, id: WorkerId, records: usize, bytes: usize) {
        let window = &mut self.worker_mut(id).settings.window;
        (window.records, window.bytes) = (records, bytes);
    }

    pub(crate) fn drain(&mut self, id: WorkerId) {
        self.worker_mut(id).draining = true;
    }

    pub(crate) fn is_draining(&self, id: WorkerId) -> bool {
        self.worker(id).draining
    }

    pub(crate) fn leave(&mut self, id: WorkerId, departure: Departure, now: Instant) {
        self.worker_mut(id).left = true;
        self.comes_back(id, departure, now);
    }

    pub(crate) fn issued(&self, id: WorkerId) -> usize {
        self.worker(id).issued as usize
    }

    pub(crate) fn results(&mut self, id: WorkerId, results: &Results, now: Instant) {
        let failed: Vec<u64> = results.failures.iter().map(|failure| failure.delivery.0).collect();
        let acked = |delivery| {
            let listed =
                |range: &(DeliveryId, DeliveryId)| (range.0.0..=range.1.0).contains(&delivery);
            results.acked.iter().any(listed) && !failed.contains(&delivery)
        };
        let mut heard = Heard::default();
        for at in 0..self.entries.len() {
            let entry = &self.entries[at];
            let mut mine = entry.deliveries.iter().filter(|(worker, _)| *worker == id);
            if entry.is_unresolved() && mine.any(|&(_, delivery)| acked(delivery)) {
                heard.answered = true;
                self.succeeded(at);
                self.resolve(at, Resolution::Acked);
            }
        }
        for failure in &results.failures {
            let at = self.with_delivery(id, failure.delivery.0);
            let current = at.filter(|&at| {
                matches!(self.entries[at].state, State::InHand { worker, delivery, .. }
                    if worker == id && delivery == failure.delivery.0)
            });
            heard.answered |=
                current.is_some() && !matches!(failure.outcome, Outcome::Retry { .. });
            match (current, failure.outcome) {
                (None, _) => self.late_failures += 1,
                (Some(at), Outcome::Filtered) => {
                    self.succeeded(at);
                    self.resolve(at, Resolution::Filtered);
                }
                (Some(at), Outcome::Reject) => {
                    self.entries[at].suspect = false;
                    self.give_up(at, FailureClass::Reject);
                }
                (Some(at), Outcome::Retry { after }) => {
                    heard.retried.push(at);
                    self.entries[at].retry_after = after.unwrap_or_default();
                    self.retry(at, id, now);
                }
            }
        }
        self.heard(&heard, now);
    }

    fn retry(&mut self, at: usize, id: WorkerId, now: Instant) {
        let (tried, retry) = (self.history.len(), self.rules.retry);
        let evidence = self.evidence(at, self.worker(id).health);
        let entry = &mut self.entries[at];
        let age = entry.first_failure.map_or(Duration::ZERO, |first| now - first);
        let counts = match evidence {
            Evidence::OtherSucceeded | Evidence::SystemWell => true,
            Evidence::Alone => age >= retry.max_age_alone,
            Evidence::None => age >= retry.max_age,
        };
        entry.tried = tried;
        entry.failures += 1;
        entry.first_failure.get_or_insert(now);
        entry.counted += u32::from(counts && entry.failures > 1);
        entry.early = (!counts).then(|| now + entry.retry_after);
        if counts && entry.counted >= retry.max_retries {
            return match self.rules.on_exhausted {
                OnExhausted::Suspend => self.happens(at, "suspended", State::Suspended),
                OnExhausted::DeadLetter | OnExhausted::Skip => {
                    self.give_up(at, FailureClass::Exhausted);
                }
            };
        }
        self.happens(at, "retrying", State::Waiting { not_before: Some(now) });
    }

    /// The dispatch says when, between what the connector asked for and the bound of
    /// the jitter.
    pub(crate) fn waits(&mut self, record: &Record, not_before: Instant, now: Instant) {
        let retry = self.rules.retry;
        let entry = self.entries.iter_mut().rfind(|entry| entry.is(record)).expect("known");
        let doubled = retry.initial_backoff * (1 << (entry.failures - 1).min(20));
        let longest = doubled.min(retry.max_backoff).max(entry.retry_after);
        let wait = not_before - now;
        assert!(wait >= entry.retry_after && wait <= longest, "{wait:?}");
        if entry.is_waiting() {
            entry.state = State::Waiting { not_before: Some(not_before) };
        }
    }

    pub(crate) fn pass(&mut self, now: Instant) {
        let Some(timeout) = self.rules.result_timeout else { return };
        let late = |entry: &Entry, id| {
            matches!(entry.state, State::InHand { worker, since, .. }
                if worker == id && now - since >= timeout)
        };
        let mut timed_out = vec![];
        for worker in self.workers.iter_mut().filter(|worker| !worker.left && !worker.timed_out) {
            if self.entries.iter().any(|entry| late(entry, worker.id)) {
                (worker.timed_out, worker.draining) = (true, true);
                self.expected.push(Expected::timeout(worker.id));
                timed_out.push(worker.id);
            }
        }
        for id in timed_out {
            self.timed_out(id, now);
        }
    }

    pub(crate) fn is_settled(&self) -> bool {
        self.entries
            .iter()
            .all(|entry| entry.state == State::Resolved || entry.state == State::Forgotten)
    }

    /// What the model foretold has happened, and nothing else.
    pub(crate) fn expect(&mut self, mut seen: Vec<Expected>) {
        seen.sort();
        self.expected.sort();
        assert_eq!(seen, std::mem::take(&mut self.expected));
    }

    pub(super) fn load(&self, id: WorkerId) -> Held {
        self.sum(|entry| entry.in_hand_at(id))
    }

    pub(super) fn sum(&self, of: impl Fn(&Entry) -> bool) -> Held {
        let mut held = Held::default();
        for entry in self.entries.iter().filter(|entry| of(entry)) {
            held += Held::one(entry.bytes);
        }
        held
    }

    pub(super) fn give_up(&mut self, at: usize, class: FailureClass) {
        let kept =
            class != FailureClass::Exhausted || self.rules.on_exhausted == OnExhausted::DeadLetter;
        if self.rules.dead_letters && kept {
            return self.happens(at, class.as_str(), State::Letter(None));
        }
        self.happens(at, "given up", State::Letter(None));
        self.resolve(at, Resolution::Skipped);
    }

    pub(super) fn happens(&mut self, at: usize, what: &'static str, state: State) {
        let entry = &mut self.entries[at];
        entry.state = state;
        self.expected.push(Expected::record(what, &entry.record, entry.attempt));
    }

    pub(super) fn resolve(&mut self, at: usize, how: Resolution) {
        let entry = &mut self.entries[at];
        entry.state = State::Resolved;
        entry.suspect = false;
        self.history.extend((how == Resolution::Acked).then_some(Sign::Success));
        self.expected.push(Expected::record(resolved(how), &entry.record, 0));
    }

    fn with_delivery(&self, id: WorkerId, delivery: u64) -> Option<usize> {
        self.entries.iter().position(|entry| entry.deliveries.contains(&(id, delivery)))
    }

    pub(super) fn worker(&self, id: WorkerId) -> &Worker {
        self.workers.iter().find(|worker| worker.id == id).expect("a worker")
    }

    pub(super) fn worker_mut(&mut self, id: WorkerId) -> &mut Worker {
        self.workers.iter_mut().find(|worker| worker.id == id).expect("a worker")
    }
}
