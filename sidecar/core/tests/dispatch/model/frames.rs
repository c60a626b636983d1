//! The naive model of what a frame of results means.

use std::time::{Duration, Instant};

use danube_sidecar_core::{
    dispatch::{Evidence, OnExhausted, WorkerId},
    outcome::{DeliveryId, Failure, FailureClass, Outcome, Resolution, Results},
    record::Record,
};

use super::{
    naive::{Entry, Model, State},
    trouble::Heard,
};

/// A failure of what is in hand: its entry, and what it tells.
#[derive(Debug)]
struct Failed<'a> {
    at: usize,
    batch: usize,
    failure: &'a Failure,
    behind: bool,
}

impl Failed<'_> {
    fn is_retry(&self) -> bool {
        matches!(self.failure.outcome, Outcome::Retry { .. })
    }

    fn is_busy(&self) -> bool {
        matches!(self.failure.outcome, Outcome::Busy { .. })
    }
}

impl Model {
    pub(crate) fn results(&mut self, id: WorkerId, results: &Results, now: Instant) {
        let mut heard = Heard::default();
        let answered = self.acks(id, results, &mut heard);
        let failed = self.failed(id, results);
        for one in &failed {
            let of_batch = || failed.iter().filter(|other| other.batch == one.batch);
            let retried = of_batch().filter(|other| other.is_retry()).count();
            let singled = of_batch().filter(|other| other.is_retry() && !other.behind).count();
            let else_heard = answered.contains(&one.batch) || retried < of_batch().count();
            let together = singled >= 2 || (singled == 1 && retried >= 2 && !else_heard);
            let most = together.then_some((retried / 2).max(1));
            let first = of_batch().find(|other| !other.behind).is_some_and(|f| f.at == one.at);
            self.fail(one, most, first, &mut heard, now);
        }
        self.heard(&heard, now);
    }

    /// Acks what a frame lists and does not call failed; tells of which batches.
    fn acks(&mut self, id: WorkerId, results: &Results, heard: &mut Heard) -> Vec<usize> {
        let failed: Vec<u64> = results.failures.iter().map(|failure| failure.delivery.0).collect();
        let acked = |delivery| {
            let listed =
                |range: &(DeliveryId, DeliveryId)| (range.0.0..=range.1.0).contains(&delivery);
            results.acked.iter().any(listed) && !failed.contains(&delivery)
        };
        let mut answered = vec![];
        for at in 0..self.entries.len() {
            let entry = &self.entries[at];
            let mut mine = entry.deliveries.iter().filter(|(worker, _)| *worker == id);
            if entry.is_unresolved() && mine.any(|&(_, delivery)| acked(delivery)) {
                heard.answered = true;
                answered.extend(entry.in_hand_at(id).then_some(entry.batch));
                self.succeeded(at);
                self.resolve(at, Resolution::Acked);
            }
        }
        answered
    }

    /// The failures that mean something, in the order of their records.
    fn failed<'a>(&mut self, id: WorkerId, results: &'a Results) -> Vec<Failed<'a>> {
        let mut failed: Vec<Failed<'a>> = vec![];
        for failure in &results.failures {
            let current = |entry: &Entry| {
                matches!(entry.state, State::InHand { worker, delivery, .. }
                    if worker == id && delivery == failure.delivery.0)
            };
            match self.entries.iter().position(current) {
                Some(at) if failed.iter().all(|other| other.at != at) => {
                    let batch = self.entries[at].batch;
                    failed.push(Failed { at, batch, failure, behind: false });
                }
                _ => self.late_failures += 1,
            }
        }
        failed.sort_by_key(|failed| failed.at);
        for one in failed.iter_mut().filter(|one| one.is_retry() || one.is_busy()) {
            let State::InHand { delivery, .. } = self.entries[one.at].state else { unreachable!() };
            one.behind = self.entries[one.at].behind == Some(delivery);
            self.hold_back_behind(one.at);
        }
        failed
    }

    fn hold_back_behind(&mut self, at: usize) {
        let lane = self.entries[at].lane;
        for entry in self.entries.iter_mut().skip(at + 1) {
            if let (true, State::InHand { delivery, .. }) = (lane == entry.lane, entry.state) {
                entry.behind = lane.map(|_| delivery);
            }
        }
    }

    fn fail(
        &mut self,
        failed: &Failed<'_>,
        most: Option<usize>,
        first: bool,
        heard: &mut Heard,
        now: Instant,
    ) {
        let at = failed.at;
        heard.answered |= !failed.is_retry() && !failed.is_busy();
        match failed.failure.outcome {
            Outcome::Filtered => {
                self.succeeded(at);
                self.resolve(at, Resolution::Filtered);
            }
            Outcome::Reject => {
                self.entries[at].suspect = false;
                self.give_up(at, FailureClass::Reject);
            }
            Outcome::Busy { after } => self.busy(at, after, now),
            Outcome::Retry { .. } if failed.behind => {
                heard.held_back.push(at);
                let entry = &mut self.entries[at];
                entry.most = most.or(entry.most);
                entry.state = State::Waiting { not_before: None };
            }
            Outcome::Retry { after } => {
                heard.retried.extend((most.is_none() || first).then_some(at));
                self.entries[at].retry_after = after.unwrap_or_default();
                self.retry(at, most, now);
            }
        }
    }

    fn retry(&mut self, at: usize, most: Option<usize>, now: Instant) {
        let State::InHand { worker, .. } = self.entries[at].state else { unreachable!() };
        let (tried, retry) = (self.history.len(), self.rules.retry);
        self.entries[at].state = State::Waiting { not_before: None };
        let evidence = self.evidence(at, self.worker(worker).health);
        let entry = &mut self.entries[at];
        let age = entry.first_failure.map_or(Duration::ZERO, |first| now - first);
        let counts = match evidence {
            Evidence::OtherSucceeded | Evidence::SystemWell => true,
            Evidence::Alone => age >= retry.max_age_alone,
            Evidence::None => age >= retry.max_age,
        };
        entry.tried = tried;
        entry.failed = true;
        entry.together = most.is_some();
        entry.first_failure.get_or_insert(now);
        if most.is_some() {
            entry.most = most;
            let proven = evidence == Evidence::OtherSucceeded;
            entry.charged_later += u32::from(proven);
            entry.early = (!proven).then(|| now + entry.retry_after);
            return self.happens(at, "retrying", State::Waiting { not_before: Some(now) });
        }
        entry.failures += 1;
        if counts {
            let with_others = std::mem::take(&mut entry.charged_later);
            entry.counted += with_others + u32::from(entry.failures > 1);
        }
        entry.early = (!counts).then(|| now + entry.retry_after);
        entry.most = if counts && entry.single { Some(1) } else { entry.most };
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
    /// the jitter; what failed together waits for longer than it asked for.
    pub(crate) fn waits(&mut self, record: &Record, not_before: Instant, now: Instant) {
        let retry = self.rules.retry;
        let entry = self.entries.iter_mut().rfind(|entry| entry.is(record)).expect("known");
        let longest = if entry.together {
            entry.retry_after + retry.initial_backoff.min(retry.max_backoff)
        } else {
            let doubled = retry.initial_backoff * (1 << (entry.failures - 1).min(20));
            doubled.min(retry.max_backoff).max(entry.retry_after)
        };
        let wait = not_before - now;
        assert!(wait >= entry.retry_after && wait <= longest, "{wait:?}");
        if entry.is_waiting() {
            entry.state = State::Waiting { not_before: Some(not_before) };
        }
    }
}
