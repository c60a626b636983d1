//! Workers that pause because their external system is busy: in metrics and view. What
//! lasts is in the log by [`watch`](crate::watch).

use danube_sidecar_core::dispatch::WorkerId;
use tracing::debug;

use super::Driver;
use crate::{clock::now, sink::Busy};

impl Driver {
    pub(super) fn busy(&mut self, worker: WorkerId) {
        self.metrics.busy();
        self.count_busy();
        let found = self.busy_workers().into_iter().find(|busy| busy.id == worker);
        let Some(busy) = found else { return };
        debug!(
            connector = self.plan.connector.name,
            worker = busy.worker,
            pause = ?busy.pause.unwrap_or_default(),
            code = busy.code,
            message = busy.message,
            "the external system is busy: this worker is offered nothing for now"
        );
    }

    pub(super) fn pause_ended(&mut self, worker: WorkerId) {
        self.count_busy();
        let Some(worker) = self.workers.get(&worker) else { return };
        debug!(
            connector = self.plan.connector.name,
            worker = worker.name,
            "the pause has passed: this worker is offered a small batch"
        );
    }

    /// Tells how many pause now.
    pub(super) fn count_busy(&self) {
        let pausing = self.dispatch.busy_workers().filter(|busy| busy.until.is_some());
        self.metrics.workers_busy(pausing.count());
    }

    pub(super) fn busy_workers(&self) -> Vec<Busy> {
        let now = now();
        let busy = self.dispatch.busy_workers().filter_map(|busy| {
            Some(Busy {
                id: busy.worker,
                worker: self.workers.get(&busy.worker)?.name.clone(),
                pause: busy.until.map(|until| until.saturating_duration_since(now)),
                quota: busy.quota,
                code: busy.code.to_string(),
                message: busy.reason.to_string(),
            })
        });
        busy.collect()
    }
}
