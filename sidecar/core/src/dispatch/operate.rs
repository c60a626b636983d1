//! What an operator may do with a record that fails.

use std::{sync::Arc, time::Instant};

use super::{DeadLetter, Dispatch, Event, Failing, RecordId, Stage};
use crate::{
    ledger::{Parked, Place},
    outcome::{FailureClass, Resolution},
    slab::Key,
};

/// An operator's decision on a record that fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Offer it again now, with a fresh count of retries.
    Resume,
    /// Give it up: it is counted as skipped, and nothing of it is kept.
    Skip,
    /// Make a dead letter of it.
    DeadLetter,
}

/// Why an order cannot be carried out: nothing has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// It does not fail, or not any more.
    #[error("the record does not fail any more")]
    Gone,
    /// Its answer may come at any moment.
    #[error("the record is at a worker now: order again when that has answered")]
    AtWorker,
    /// It is on its way already.
    #[error("the record is a dead letter already, which waits until the broker confirms it")]
    Lettered,
    /// It was suspected before this start, and was not offered since.
    #[error("the record was not tried since the sidecar started: order again after its attempt")]
    Untried,
    /// There are none.
    #[error("the connector has no dead letters ([dead_letter] enabled = false): skip it instead")]
    NoLetters,
}

impl Dispatch {
    /// Carries out an operator's decision; tells what the record was before it.
    ///
    /// # Errors
    /// When the record is not one that can be decided on now.
    pub fn operate(
        &mut self,
        now: Instant,
        record: RecordId,
        order: Order,
    ) -> Result<Failing, Unfit> {
        let key = Key::from_bits(record.0).ok_or(Unfit::Gone)?;
        let failing = self.describe(key).ok_or(Unfit::Gone)?;
        match failing.stage {
            Stage::AtWorker(_) => return Err(Unfit::AtWorker),
            Stage::DeadLetter => return Err(Unfit::Lettered),
            Stage::Retry(_) if failing.attempt == 0 => return Err(Unfit::Untried),
            Stage::Retry(_) | Stage::Suspended => {}
        }
        match order {
            Order::Resume => self.offer_again(key),
            Order::Skip => {
                self.withdraw(key);
                self.put(key, Place::Parked(Parked::DeadLetter));
                self.resolve(key, Resolution::Skipped);
            }
            Order::DeadLetter if !self.settings.dead_letters => return Err(Unfit::NoLetters),
            Order::DeadLetter => self.letter(now, key, &failing),
        }
        Ok(failing)
    }

    /// Offers all suspended records again, with a fresh count of retries.
    pub fn resume(&mut self, _now: Instant) {
        let suspended: Vec<_> = self
            .ledger
            .iter()
            .filter(|(_, entry)| entry.place == Place::Parked(Parked::Suspended))
            .map(|(key, _)| key)
            .collect();
        for key in suspended {
            self.offer_again(key);
        }
    }

    fn offer_again(&mut self, key: Key) {
        self.withdraw(key);
        if let Some(entry) = self.ledger.get_mut(key) {
            entry.tries.forgive(self.signs.latest());
        }
        self.put(key, Place::READY);
        self.settle_lane_of(key);
    }

    /// Whatever the file says of exhausted records: the operator said otherwise.
    fn letter(&mut self, now: Instant, key: Key, failing: &Failing) {
        self.withdraw(key);
        self.put(key, Place::Parked(Parked::DeadLetter));
        let Some(entry) = self.ledger.get(key) else { return };
        let class = if entry.suspect { FailureClass::Crash } else { FailureClass::Exhausted };
        self.events.push_back(Event::DeadLetter(DeadLetter {
            id: failing.id,
            record: Arc::clone(&failing.record),
            class,
            code: failing.code.to_string(),
            reason: failing.reason.to_string(),
            attempt: entry.attempt,
            first_failure: entry.tries.first_failure().unwrap_or(now),
        }));
        self.settle_lane_of(key);
    }
}
