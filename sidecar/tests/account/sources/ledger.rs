//! What happened to every entry and in every session. What breaks a promise is noted
//! where it happens: a panic there would end only a task of the sidecar.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::{Mutex, MutexGuard, PoisonError},
};

use danube_sidecar::config::OnReject;
use tokio::{sync::watch, time::Instant};

use super::upstream::{Entry, Fate, Lane, Partition, Place};

/// Everything that is known, shared by connectors, broker, store and schedule.
pub struct Ledger {
    inner: Mutex<Inner>,
    /// Counts what may let a connector go on.
    pub changes: watch::Sender<u64>,
}

/// What the sidecar does with records that can never be published.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    pub letters: bool,
    pub on_reject: OnReject,
    pub window: usize,
}

pub struct Inner {
    pub rules: Rules,
    /// What was wrong with entries is so no more.
    pub mended: bool,
    pub partitions: Vec<Partition>,
    /// The latest epoch that was begun.
    pub epoch: u64,
    pub sessions: BTreeMap<u64, Session>,
    /// Publishes that the broker makes appear twice.
    pub repeats: u64,
    /// The last entry of every lane of a partition that was taken for the first time.
    pub(super) firsts: HashMap<(usize, usize, Option<u8>), u64>,
    pub violations: Vec<String>,
    pub history: Vec<String>,
}

/// What happened in one session.
pub struct Session {
    pub sidecar: usize,
    /// Where its records stand, by number.
    pub sent: Vec<Place>,
    /// The connector knows that everything up to here is committed.
    pub told: u64,
    /// The numbers that the connector knows to be rejected.
    pub rejected: HashSet<u64>,
    /// What `told` was, when a newer session opened.
    pub told_before_next: Option<u64>,
    /// The last number that came to the broker.
    pub published: u64,
    pub in_flight: u64,
    /// When the connector left it or asked for another one.
    pub left: Option<Instant>,
    /// It is settled, or does not have to be: its record failed, or another sidecar
    /// took over.
    pub excused: bool,
    /// The last number of every lane that the broker took.
    pub(super) lanes: HashMap<Lane, u64>,
    /// The numbers that the broker took.
    pub(super) seen: HashSet<u64>,
}

impl Session {
    pub fn of(sidecar: usize) -> Self {
        Self {
            sidecar,
            sent: Vec::new(),
            told: 0,
            rejected: HashSet::new(),
            told_before_next: None,
            published: 0,
            in_flight: 0,
            left: None,
            excused: false,
            lanes: HashMap::new(),
            seen: HashSet::new(),
        }
    }

    /// What it had not told to be committed when others began to read again.
    pub fn uncommitted(&self) -> u64 {
        self.sent.len() as u64 - self.told_before_next.unwrap_or(self.told)
    }
}

impl Ledger {
    pub fn new(rules: Rules, partitions: Vec<Partition>) -> Self {
        let inner = Inner {
            rules,
            mended: false,
            partitions,
            epoch: 0,
            sessions: BTreeMap::new(),
            repeats: 0,
            firsts: HashMap::new(),
            violations: Vec::new(),
            history: Vec::new(),
        };
        Self { inner: Mutex::new(inner), changes: watch::Sender::new(0) }
    }

    pub fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Connectors have something new to see.
    pub fn changed(&self) {
        self.changes.send_modify(|changes| *changes += 1);
    }
}

impl Inner {
    pub fn note(&mut self, what: impl Into<String>) {
        self.history.push(what.into());
    }

    /// Notes that a promise is broken.
    pub fn violated(&mut self, what: impl Into<String>) {
        let what = what.into();
        self.note(format!("VIOLATED {what}"));
        self.violations.push(what);
    }

    pub fn require(&mut self, holds: bool, what: impl FnOnce() -> String) {
        if !holds {
            self.violated(what());
        }
    }

    /// The external system has something new.
    pub fn produce(&mut self, partition: usize, key: Option<u8>, topic: usize, fate: Fate) {
        let rejected_at_once = matches!(fate, Fate::Oversize | Fate::Undeclared);
        let entry = Entry {
            key,
            topic,
            fate,
            taken: 0,
            letters: 0,
            // Nobody outside of the sidecar sees what becomes of these.
            settled: rejected_at_once && !self.rules.letters && !self.fails(),
        };
        self.partitions[partition].entries.push(entry);
    }

    /// Whether the sidecar ends the session of a record that can never be published.
    pub fn fails(&self) -> bool {
        self.rules.on_reject == OnReject::Fail
    }

    pub fn entry(&mut self, place: Place) -> &mut Entry {
        &mut self.partitions[place.partition].entries[place.offset as usize]
    }

    pub fn session(&mut self, epoch: u64) -> &mut Session {
        self.sessions.get_mut(&epoch).expect("only sessions that opened have records")
    }

    /// The sessions of a sidecar.
    pub fn sessions_of(&mut self, sidecar: usize) -> impl Iterator<Item = &mut Session> {
        self.sessions.values_mut().filter(move |session| session.sidecar == sidecar)
    }

    /// The connector leaves the sessions of this sidecar.
    pub fn left(&mut self, sidecar: usize) {
        for session in self.sessions_of(sidecar) {
            session.left.get_or_insert_with(Instant::now);
        }
    }

    /// Whether nothing is left to happen.
    pub fn is_complete(&self) -> bool {
        self.partitions.iter().all(Partition::is_complete)
    }
}
