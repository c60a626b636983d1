//! What operators ask of a driver about records that fail.

use std::time::{Instant, SystemTime};

use danube_sidecar_core::dispatch::{Failing, Order, Stage};
use tracing::{info, warn};

use super::Driver;
use crate::{
    clock::now,
    sink::{Decided, Shown, Which},
};

/// Most records that one decision is carried out on: more wait for the next one.
const MOST_DECIDED: usize = 10_000;

impl Driver {
    /// Records that fail, the longest first.
    pub(super) fn failing(&self, which: &Which, most: usize) -> Vec<Shown> {
        let failing = self.dispatch.failing(most, |failing| which.is(failing));
        failing.into_iter().map(|failing| self.shown(failing)).collect()
    }

    /// Carries out an operator's decision.
    pub(super) fn decide(&mut self, which: &Which, order: Order, dry_run: bool) -> Decided {
        let mut decided = Decided::default();
        let now = now();
        for failing in self.dispatch.failing(MOST_DECIDED, |failing| which.is(failing)) {
            let id = failing.id;
            let shown = self.shown(failing);
            if dry_run {
                decided.done.push(shown);
                continue;
            }
            match self.dispatch.operate(now, id, order) {
                Ok(_) => {
                    self.log_decision(&shown, order);
                    decided.done.push(shown);
                }
                Err(unfit) => decided.refused.push((shown, unfit)),
            }
        }
        decided
    }

    /// Offers nothing, or offers again; tells whether that is a change. What workers have in
    /// hand is theirs.
    pub(super) fn pause(&mut self, paused: bool) -> bool {
        if self.paused.is_some() == paused {
            return false;
        }
        self.paused = paused.then(SystemTime::now);
        let connector = &self.plan.connector.name;
        match paused {
            true => warn!(connector, "an operator paused the sink: it is offered nothing"),
            false => info!(connector, "an operator has the sink go on"),
        }
        true
    }

    fn log_decision(&self, shown: &Shown, order: Order) {
        let what = match order {
            Order::Resume => "an operator has the record offered again",
            Order::Skip => "an operator skipped the record",
            Order::DeadLetter => "an operator makes a dead letter of the record",
        };
        let identity = &shown.failing.record.identity;
        warn!(
            connector = self.plan.connector.name,
            partition = &*identity.partition,
            offset = identity.offset,
            attempt = shown.failing.attempt,
            code = &*shown.failing.code,
            reason = &*shown.failing.reason,
            "{what}"
        );
    }

    fn shown(&self, failing: Failing) -> Shown {
        let (now, clock) = (now(), SystemTime::now());
        let past = |at: Instant| clock - now.saturating_duration_since(at);
        let (next, worker) = match failing.stage {
            Stage::Retry(due) => (due.map(|due| clock + due.saturating_duration_since(now)), None),
            Stage::AtWorker(id) => (None, self.workers.get(&id).map(|worker| worker.name.clone())),
            Stage::Suspended | Stage::DeadLetter => (None, None),
        };
        Shown { since: past(failing.since), next, worker, failing }
    }
}
