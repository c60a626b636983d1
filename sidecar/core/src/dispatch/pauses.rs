//! What BUSY means for records and workers.
//!
//! It tells of the external system, not of the record: no attempt, no sign of an outage,
//! no word for or against a suspect. The worker keeps its lanes, however long it pauses:
//! elsewhere their records could overtake what it still has in hand. What belongs to no
//! worker goes to the others.

use std::time::{Duration, Instant};

use super::{BusyWorker, Dispatch, Event, WorkerId, failures::Failed, words::Words};
use crate::ledger::Place;

impl Dispatch {
    /// The external system refused the record: it comes again after the worker's pause.
    pub(super) fn busy(
        &mut self,
        now: Instant,
        id: WorkerId,
        failed: &Failed<'_>,
        after: Option<Duration>,
    ) {
        let (key, failure) = (failed.key, failed.failure);
        self.pause(now, id, failed, after);
        self.circuit.trial_released(now, key);
        self.answer(id, failure.delivery);
        self.withdraw(key);
        self.put(key, Place::READY);
        self.settle_lane_of(key);
    }

    fn pause(&mut self, now: Instant, id: WorkerId, failed: &Failed<'_>, after: Option<Duration>) {
        let failure = failed.failure;
        let Some(worker) = self.workers.get_mut(&id) else { return };
        if worker.pace.busy(now, failure.delivery.0, after) {
            worker.busy = Words::new(&failure.code, &failure.message);
            self.events.push_back(Event::Busy { worker: id });
        }
    }

    /// Ends the pauses that have passed.
    pub(super) fn end_pauses(&mut self, now: Instant) {
        for (&id, worker) in &mut self.workers {
            if worker.pace.advance(now) {
                self.events.push_back(Event::PauseEnded { worker: id });
            }
        }
    }

    /// The workers whose external system was busy and does not take everything yet.
    pub fn busy_workers(&self) -> impl Iterator<Item = BusyWorker> {
        self.workers.iter().filter(|(_, worker)| !worker.pace.is_free()).map(|(&id, worker)| {
            BusyWorker {
                worker: id,
                until: worker.pace.paused_until(),
                quota: worker.pace.quota().map(|quota| (quota.records, quota.span)),
                code: worker.busy.code.as_ref().into(),
                reason: worker.busy.reason.as_ref().into(),
            }
        })
    }
}
