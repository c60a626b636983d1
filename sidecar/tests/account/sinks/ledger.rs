//! What happened to every record, and whether that is what was promised.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Mutex, MutexGuard, PoisonError},
};

use danube_sidecar_core::record::Fingerprint;

/// What a worker makes of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Written at the first attempt.
    Well,
    /// Written after so many failures.
    Flaky(u32),
    /// Rejected.
    Poison,
    /// Passed over.
    Dull,
    /// Whoever processes it dies.
    Killer,
}

/// One published message.
#[derive(Clone, Debug)]
pub struct Message {
    pub key: Option<u8>,
    pub fate: Fate,
    /// Place in the order of publication.
    pub order: u64,
    pub attempts: u32,
    occurred: bool,
    pub effects: u32,
    pub letters: Vec<String>,
    pub filtered: u32,
    /// The worker told what became of it, and that was not RETRY.
    pub finished: bool,
}

/// Everything that is known, shared by broker, workers and schedule.
#[derive(Default)]
pub struct Ledger {
    inner: Mutex<Inner>,
}

#[derive(Default)]
pub struct Inner {
    pub messages: HashMap<Fingerprint, Message>,
    /// First occurrences of each key's records at workers, as they happened.
    occurrences: BTreeMap<u8, Vec<u64>>,
    /// Effects that may happen twice, as faults come.
    pub bound: u64,
    /// Dead letters that may come twice.
    pub letters_bound: u64,
    /// Whether an ack must wait for the record's end.
    pub pass_through: bool,
    published: u64,
    pub history: Vec<String>,
}

impl Ledger {
    pub fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    pub fn note(&mut self, what: impl Into<String>) {
        self.history.push(what.into());
    }

    pub fn published(&mut self, fingerprint: Fingerprint, key: Option<u8>, fate: Fate) {
        self.published += 1;
        let message = Message {
            key,
            fate,
            order: self.published,
            attempts: 0,
            occurred: false,
            effects: 0,
            letters: Vec::new(),
            filtered: 0,
            finished: false,
        };
        self.messages.insert(fingerprint, message);
    }

    /// A worker has the record before it; tells what it makes of it.
    pub fn attempted(&mut self, fingerprint: Fingerprint) -> Fate {
        let message = self.messages.get_mut(&fingerprint).expect("only what was published comes");
        message.attempts += 1;
        match message.fate {
            Fate::Flaky(failures) if message.attempts > failures => Fate::Well,
            fate => fate,
        }
    }

    /// What an attempt would make of it.
    pub fn fate(&self, fingerprint: Fingerprint) -> Fate {
        let message = &self.messages[&fingerprint];
        match message.fate {
            Fate::Flaky(failures) if message.attempts >= failures => Fate::Well,
            fate => fate,
        }
    }

    pub fn effect(&mut self, fingerprint: Fingerprint) {
        let message = self.messages.get_mut(&fingerprint).expect("only what was published comes");
        message.effects += 1;
    }

    /// A worker has the record before it, for the first time or again.
    pub fn occurred(&mut self, fingerprint: Fingerprint) {
        let message = self.messages.get_mut(&fingerprint).expect("only what was published comes");
        let first = !std::mem::replace(&mut message.occurred, true);
        if let (true, Some(key)) = (first, message.key) {
            self.occurrences.entry(key).or_default().push(message.order);
        }
    }

    /// A dead letter is confirmed.
    pub fn letter(&mut self, dedup_id: &str, class: String) {
        self.note(format!("letter {class} {dedup_id}"));
        let mut messages = self.messages.iter_mut();
        let found = messages.find(|(fingerprint, _)| fingerprint.to_string() == dedup_id);
        found.expect("only what was published becomes one").1.letters.push(class);
    }

    /// The broker forgets the record: it must be safe by now.
    pub fn acked(&mut self, fingerprint: Fingerprint) {
        let message = &self.messages[&fingerprint];
        let safe = message.finished || !message.letters.is_empty();
        if self.pass_through {
            assert!(safe, "acked before its end: {message:?}\n{}", self.history.join("\n"));
        }
    }

    /// Whether nothing is left to happen.
    pub fn complete(&self) -> bool {
        self.messages.values().all(Message::is_complete)
    }

    /// What the promises say at the end.
    pub fn check(&self) {
        let (mut twice, mut letters) = (0, 0);
        for message in self.messages.values() {
            assert!(message.is_complete(), "lost: {message:?}");
            twice += u64::from(message.effects.saturating_sub(1));
            letters += (message.letters.len() as u64).saturating_sub(1);
            twice += u64::from(message.filtered.saturating_sub(1));
            message.check();
        }
        assert!(twice <= self.bound, "{twice} duplicates, at most {} are allowed", self.bound);
        let bound = self.letters_bound;
        assert!(letters <= bound, "{letters} dead letters came twice, at most {bound} are allowed");
        for (key, orders) in &self.occurrences {
            assert!(orders.is_sorted(), "key {key} came out of order: {orders:?}");
        }
    }
}

impl Message {
    pub fn is_complete(&self) -> bool {
        match self.fate {
            Fate::Well | Fate::Flaky(_) => self.effects > 0 || self.exhausted(),
            Fate::Poison | Fate::Killer => !self.letters.is_empty(),
            Fate::Dull => self.filtered > 0,
        }
    }

    /// Whether it has a dead letter, or one may be on its way.
    pub fn may_have_letter(&self) -> bool {
        self.fate == Fate::Poison || !self.letters.is_empty()
    }

    /// Flaky records that fail often may end as dead letters.
    fn exhausted(&self) -> bool {
        matches!(self.fate, Fate::Flaky(_)) && self.letters.iter().any(|l| l == "EXHAUSTED")
    }

    fn check(&self) {
        let allowed = match self.fate {
            Fate::Well | Fate::Dull => None,
            Fate::Flaky(_) => Some("EXHAUSTED"),
            Fate::Poison => Some("REJECT"),
            Fate::Killer => Some("CRASH"),
        };
        let wrong = self.letters.iter().any(|class| Some(class.as_str()) != allowed);
        assert!(!wrong, "wrong dead letter: {self:?}");
        let no_effect = matches!(self.fate, Fate::Poison | Fate::Dull | Fate::Killer);
        assert!(!no_effect || self.effects == 0, "an effect of {self:?}");
    }
}
