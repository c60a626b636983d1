//! The naive model: plain lists, searched from end to end. It foretells every
//! event but the length of a backoff.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use super::trouble::Trouble;
use danube_sidecar_core::{
    dispatch::{
        Admission, DeadLetter, Departure, Event, Health, Held, OnExhausted, Ordering, RecordId,
        Settings, WorkerId, WorkerSettings,
    },
    outcome::{FailureClass, Resolution},
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
            Event::Busy { worker } => Self::worker("busy", *worker),
            Event::PauseEnded { worker } => Self::worker("pause ended", *worker),
            Event::Resolved { partition, offset, how, .. } => {
                Self(resolved(*how), Arc::clone(partition), *offset, 0)
            }
            Event::DeadLetter(letter) => Self::letter(letter.class.as_str(), letter),
            Event::GivenUp(letter) => Self::letter("given up", letter),
            Event::ResultTimeout { worker } => Self::worker("timeout", *worker),
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

    pub(super) fn worker(what: &'static str, worker: WorkerId) -> Self {
        Self(what, "".into(), worker.0, 0)
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
    /// Which of all batches it was offered in last.
    pub(super) batch: usize,
    /// Whether it was alone in that.
    pub(super) single: bool,
    /// The most of a batch that it may come back in.
    pub(super) most: Option<usize>,
    /// The delivery that a worker held back behind another record.
    pub(super) behind: Option<u64>,
    /// An operator brought it back.
    pub(super) resumed: bool,
    /// Whether it failed together with others last.
    pub(super) together: bool,
    pub(super) failed: bool,
    pub(super) failures: u32,
    pub(super) counted: u32,
    /// Failures together with others while yet others succeeded, since it last counted.
    pub(super) charged_later: u32,
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
    /// The external system is busy until then.
    pub(super) busy_until: Option<Instant>,
    /// The number of the last batch of all before its last pause.
    pub(super) paused_after: usize,
    /// Records that it was offered since.
    pub(super) offered_since: usize,
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
    pub(super) batches: usize,
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
        self.failed || self.suspect
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
            batches: 0,
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
            batch: 0,
            single: false,
            most: None,
            behind: None,
            resumed: false,
            together: false,
            failed: false,
            failures: 0,
            counted: 0,
            charged_later: 0,
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
            busy_until: None,
            paused_after: 0,
            offered_since: 0,
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

    pub(crate) fn pass(&mut self, now: Instant) {
        self.pauses_end(now);
        let Some(timeout) = self.rules.result_timeout else { return };
        let late = |entry: &Entry, id| {
            matches!(entry.state, State::InHand { worker, since, .. }
                if worker == id && now - since >= timeout)
        };
        let mut timed_out = vec![];
        for worker in self.workers.iter_mut().filter(|worker| !worker.left && !worker.timed_out) {
            if self.entries.iter().any(|entry| late(entry, worker.id)) {
                (worker.timed_out, worker.draining) = (true, true);
                self.expected.push(Expected::worker("timeout", worker.id));
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

    pub(super) fn worker(&self, id: WorkerId) -> &Worker {
        self.workers.iter().find(|worker| worker.id == id).expect("a worker")
    }

    pub(super) fn worker_mut(&mut self, id: WorkerId) -> &mut Worker {
        self.workers.iter_mut().find(|worker| worker.id == id).expect("a worker")
    }
}
