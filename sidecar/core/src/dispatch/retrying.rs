//! What follows from a failure that may pass: the record is offered again, or given up.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    Breaker, Dispatch, Event, Evidence, RecordId, WorkerId, breaker::LONGEST_PAUSE, failures::Part,
};
use crate::{
    ledger::{Parked, Place},
    outcome::FailureClass,
    retry::{OnExhausted, Verdict},
    slab::Key,
};

/// A connector's `retry_after` beyond this means this.
const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(365 * 24 * 3600);

/// What the connector said with a RETRY.
pub(super) struct Said {
    pub(super) worker: WorkerId,
    /// Not before this has passed.
    pub(super) after: Duration,
    pub(super) code: String,
    pub(super) reason: String,
}

/// When a record is to be offered again.
struct Again {
    /// How long after its failure.
    backoff: Duration,
    /// An outage is the reason: the least that a breaker that opens leaves of it.
    least: Option<Duration>,
}

impl Dispatch {
    /// The connector singled the record out: an attempt, where others succeed.
    pub(super) fn failed_alone(&mut self, now: Instant, key: Key, said: Said) {
        self.circuit.retried(key);
        let health = self.workers.get(&said.worker).and_then(|worker| worker.health);
        let evidence = self.evidence(key, health);
        let Some(entry) = self.ledger.get_mut(key) else { return };
        let (policy, random) = (&self.settings.retry, &mut self.random);
        let verdict = entry.tries.fail(policy, now, self.signs.latest(), evidence);
        let failures = entry.tries.failures();
        if verdict != Verdict::Outage && entry.batch.is_none() {
            // It does not take others with it, where its connector writes whole batches.
            entry.most = 1;
        }
        let again = match verdict {
            Verdict::Exhausted => return self.exhaust(now, key, said),
            Verdict::Again => {
                Again { backoff: policy.backoff(failures, random).max(said.after), least: None }
            }
            Verdict::Outage => {
                let backoff = policy.outage_backoff(failures, LONGEST_PAUSE, random);
                Again { backoff: backoff.max(said.after), least: Some(said.after) }
            }
        };
        let worker = said.worker;
        self.try_again(now, key, again, said);
        if evidence != Evidence::OtherSucceeded {
            self.ask_health(key, worker);
        }
    }

    /// The record was in a batch that failed: no attempt yet, but one sign of an outage
    /// from all of them.
    pub(super) fn failed_together(&mut self, now: Instant, key: Key, part: Part, said: Said) {
        if part.first {
            self.circuit.retried(key);
        }
        let Some(entry) = self.ledger.get_mut(key) else { return };
        entry.most = part.most;
        let proven = self.signs.succeeded_after(entry.tries.sign());
        entry.tries.fail_together(now, self.signs.latest(), proven);
        let least = (!proven).then_some(said.after);
        let again = Again { backoff: said.after.saturating_add(part.spread), least };
        self.try_again(now, key, again, said);
    }

    /// The record was not tried: it comes again behind the one that it waits for.
    pub(super) fn held_back(&mut self, key: Key, most: Option<u16>) {
        self.circuit.held_back(key);
        if let (Some(entry), Some(most)) = (self.ledger.get_mut(key), most) {
            entry.most = most;
        }
        self.put(key, Place::READY);
        self.settle_lane_of(key);
    }

    fn try_again(&mut self, now: Instant, key: Key, again: Again, said: Said) {
        let Some(entry) = self.ledger.get(key) else { return };
        let Said { code, reason, .. } = said;
        self.last_words.keep(entry.sequence, &code, &reason);
        let (id, attempt) = (RecordId(key.to_bits()), entry.attempt);
        let record = Arc::clone(&entry.record);
        let early = again.least.map(|least| now + least.min(LONGEST_RETRY_AFTER));
        // While the breaker is not closed, its pause is the backoff.
        let closed = self.circuit.breaker() == Breaker::Closed;
        let backed_off = now + again.backoff.min(LONGEST_RETRY_AFTER);
        let not_before = early.filter(|_| !closed).unwrap_or(backed_off);
        self.put(key, Place::Again { due: Some(not_before), early });
        self.events.push_back(Event::Retrying { id, record, attempt, not_before, code, reason });
        self.settle_lane_of(key);
    }

    fn exhaust(&mut self, now: Instant, key: Key, said: Said) {
        let Said { code, reason, .. } = said;
        if self.settings.on_exhausted != OnExhausted::Suspend {
            return self.give_up(now, key, FailureClass::Exhausted, code, reason);
        }
        self.put(key, Place::Parked(Parked::Suspended));
        if let Some(entry) = self.ledger.get(key) {
            self.last_words.keep(entry.sequence, &code, &reason);
            let (record, attempt) = (Arc::clone(&entry.record), entry.attempt);
            let id = RecordId(key.to_bits());
            self.events.push_back(Event::Suspended { id, record, code, reason, attempt });
        }
        self.settle_lane_of(key);
    }
}
