//! Whose fault a failure is: the record's, or that of an external system that is down.
//!
//! Another record that succeeds meanwhile tells it. Where nothing else is there to be
//! tried, the external system itself is asked, through the connector; where nobody can
//! say, time tells.

use super::{Dispatch, Event, WorkerId};
use crate::{
    ledger::{Entry, Place},
    slab::Key,
};

/// Numbers what happens, so that what came later can be told.
#[derive(Debug, Default)]
pub(super) struct Signs {
    latest: u64,
    /// The number of the last success.
    success: u64,
}

impl Signs {
    /// The number of what happened last.
    pub(super) fn latest(&self) -> u64 {
        self.latest
    }

    /// A record was written.
    pub(super) fn succeeded(&mut self) {
        self.success = self.next();
    }

    /// Whether a record was written after this.
    pub(super) fn succeeded_after(&self, sign: u64) -> bool {
        self.success > sign
    }

    /// Something happened; its number.
    pub(super) fn next(&mut self) -> u64 {
        self.latest += 1;
        self.latest
    }
}

/// What a worker says of its external system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Health {
    /// It was asked, and is well.
    Well,
    /// It is not.
    Unwell,
    /// It was not asked: the connector has no way to.
    Unknown,
}

/// What tells whose fault a failed attempt is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Evidence {
    /// Another record succeeded since the attempt before.
    OtherSucceeded,
    /// Nothing else was there to be tried, and the external system was said to be well
    /// since the attempt before.
    SystemWell,
    /// Nothing else was there to be tried, and nobody can say how the system is.
    Alone,
    /// All that is known speaks for an outage.
    None,
}

impl Dispatch {
    /// A worker answered a probe.
    pub fn health(&mut self, worker: WorkerId, health: Health) {
        let sign = self.signs.next();
        if let Some(worker) = self.workers.get_mut(&worker) {
            worker.health = Some((health, sign));
        }
    }

    /// Whose fault it is that a record fails, whose worker said `health` last.
    pub(super) fn evidence(&self, key: Key, health: Option<(Health, u64)>) -> Evidence {
        let Some(entry) = self.ledger.get(key) else { return Evidence::None };
        let before = entry.tries.sign();
        if self.signs.succeeded_after(before) {
            return Evidence::OtherSucceeded;
        }
        let evidence = match health {
            Some((Health::Unwell, _)) => return Evidence::None,
            Some((Health::Well, sign)) if sign > before => Evidence::SystemWell,
            Some((Health::Well, _)) => return Evidence::None,
            Some((Health::Unknown, _)) | None => Evidence::Alone,
        };
        if self.is_alone(key) { evidence } else { Evidence::None }
    }

    /// A record failed, and nothing else tells whether it is its fault.
    pub(super) fn ask_health(&mut self, key: Key, worker: WorkerId) {
        let answers = self.workers.get(&worker).is_some_and(|worker| worker.settings.probe);
        if answers && self.is_alone(key) {
            self.events.push_back(Event::AskHealth { worker });
        }
    }

    /// Whether no other lane has anything that is being tried, or that failed and will be.
    fn is_alone(&self, key: Key) -> bool {
        let Some(lane) = self.ledger.get(key).map(|entry| entry.lane) else { return false };
        let tried = |entry: &Entry| match entry.place {
            Place::InHand { .. } => true,
            Place::Again { .. } => entry.tries.has_failed() || entry.crashes > 0,
            Place::Fresh | Place::Parked(_) => false,
        };
        let mut others = self.ledger.iter().filter(|(_, entry)| entry.lane != lane);
        !others.any(|(_, entry)| tried(entry))
    }
}
