//! Hands records to a sink, and learns what became of each.

use std::{collections::VecDeque, time::Duration};

use tokio::time::Instant;
use tracing::{error, warn};

use super::{
    Desk,
    lanes::{HeldLanes, Lane, lane},
    pause::Pause,
};
use crate::{
    ConnectorError, ConnectorMetrics, NotWritten, SinkConnector, SinkRecord, health::Checked,
    outcome::Kind,
};

/// A connector and the records that it has in hand.
pub(crate) struct Worker<C> {
    pub(crate) connector: C,
    /// What its last health check said.
    pub(crate) health: Checked,
    metrics: ConnectorMetrics,
    /// Records that are processed one by one, before any batch.
    ones: VecDeque<SinkRecord>,
    batches: VecDeque<Vec<SinkRecord>>,
    lanes: HeldLanes,
    /// The last delivery that came.
    received: u64,
    pause: Pause,
    /// Whether the connector turned out to have no `process_batch` of its own.
    singly: bool,
    /// Whether the connector turned out to refuse batches for one of their records.
    halves: bool,
}

/// What came of one call of the connector.
#[derive(Default)]
pub(crate) struct Step {
    /// Delivery ids and their results. What the connector did not get to is missing.
    pub(crate) answers: Vec<(u64, Result<(), NotWritten>)>,
    /// Why the connector has to stop.
    pub(crate) fault: Option<NotWritten>,
    /// Whether the batch has to be delivered once more: nothing is known of it.
    pub(crate) again: bool,
}

impl<C: SinkConnector> Worker<C> {
    pub(crate) fn new(connector: C, metrics: ConnectorMetrics) -> Self {
        Self {
            connector,
            health: Checked::default(),
            metrics,
            ones: VecDeque::new(),
            batches: VecDeque::new(),
            lanes: HeldLanes::default(),
            received: 0,
            pause: Pause::default(),
            singly: false,
            halves: false,
        }
    }

    /// Takes a batch in hand.
    pub(crate) fn take(&mut self, records: Vec<SinkRecord>) {
        self.metrics.record_batch_size(records.len());
        self.metrics.received(records.len() as u64);
        self.received = records.last().map_or(self.received, |record| record.delivery.id);
        self.batches.push_back(records);
        self.metrics.set_inflight(self.in_hand());
    }

    pub(crate) fn has_work(&self) -> bool {
        !self.ones.is_empty() || !self.batches.is_empty()
    }

    /// Records in hand.
    pub(crate) fn in_hand(&self) -> usize {
        self.ones.len() + self.batches.iter().map(Vec::len).sum::<usize>()
    }

    /// Lets go of everything: the sidecar offers it again.
    pub(crate) fn release(&mut self) {
        self.ones.clear();
        self.batches.clear();
        self.lanes.clear();
        self.metrics.set_inflight(0);
    }

    /// Forgets that the external system was busy.
    pub(crate) fn resume(&mut self) {
        self.pause = Pause::default();
    }

    /// Calls the connector once, with the next record or batch in hand; where the external
    /// system is busy, hands back all that is in hand without a call.
    pub(crate) async fn step(&mut self) -> Step {
        let started = Instant::now();
        if self.singly && self.ones.is_empty() {
            self.ones.extend(self.batches.pop_front().into_iter().flatten());
        }
        let step = if let Some(busy) = self.pause.left() {
            self.hand_back(&busy)
        } else if let Some(record) = self.ones.pop_front() {
            self.one(record).await
        } else if let Some(records) = self.batches.pop_front() {
            self.batch(records).await
        } else {
            Step::default()
        };
        self.count(&step, started.elapsed());
        step
    }

    /// Gives a connector that buffers the chance to flush, as Danube's own
    /// runtime does.
    pub(crate) async fn tick(&mut self) -> Result<(), ConnectorError> {
        match self.connector.process_batch(Vec::new()).await {
            Err(fault) if fault.stops() => Err(fault),
            Err(error) => {
                warn!(%error, "the connector could not flush; it is asked again at the next tick");
                Ok(())
            }
            Ok(()) => Ok(()),
        }
    }

    async fn one(&mut self, record: SinkRecord) -> Step {
        let mut step = Step::default();
        let (id, lane) = (record.delivery.id, lane(&record));
        let result = if self.lanes.admits(&record) {
            self.connector.process_outcome(record).await
        } else {
            Err(held())
        };
        self.settle(&mut step, id, lane, result);
        step
    }

    fn hand_back(&mut self, busy: &NotWritten) -> Step {
        let mut step = Step::default();
        let ones = std::mem::take(&mut self.ones).into_iter();
        for record in ones.chain(std::mem::take(&mut self.batches).into_iter().flatten()) {
            self.lanes.hold(lane(&record), self.received);
            step.answers.push((record.delivery.id, Err(busy.of_another())));
        }
        step
    }

    async fn batch(&mut self, records: Vec<SinkRecord>) -> Step {
        let mut step = Step::default();
        let (mut records, late) = self.lanes.split(records);
        for record in late {
            step.answers.push((record.delivery.id, Err(held())));
        }
        if records.is_empty() {
            return step;
        }
        let names: Vec<_> =
            records.iter().map(|record| (record.delivery.id, lane(record))).collect();
        let desk = Desk::new(self.halves);
        desk.seat(&mut records);
        let results = self.connector.process_batch_outcomes(records).await;
        if results.len() != names.len() {
            step.fault = Some(miscounted(results.len(), names.len()));
            return step;
        }
        if desk.is_wanted_again() {
            self.halves = true;
            return Step { again: true, ..Step::default() };
        }
        let returned = self.keep_returned(&desk);
        for (index, ((id, lane), result)) in names.into_iter().zip(results).enumerate() {
            if !returned.contains(&index) {
                self.settle(&mut step, id, lane, result);
            }
        }
        step
    }

    /// Queues what the default `process_batch` handed back, and
    /// tells which of the batch that was.
    fn keep_returned(&mut self, desk: &Desk) -> Vec<usize> {
        let returned = desk.take();
        self.singly |= !returned.is_empty();
        let (indexes, records): (Vec<_>, Vec<_>) = returned.into_iter().unzip();
        self.ones.extend(records);
        indexes
    }

    fn settle(
        &mut self,
        step: &mut Step,
        id: u64,
        lane: Option<Lane>,
        result: Result<(), NotWritten>,
    ) {
        match result {
            Err(fault) if fault.is_fatal() => step.fault = step.fault.take().or(Some(fault)),
            Err(error) => {
                if error.is_busy() {
                    self.pause.begin(&error);
                }
                if error.is_retry() || error.is_busy() {
                    self.lanes.hold(lane, self.received);
                }
                step.answers.push((id, Err(error)));
            }
            Ok(()) => step.answers.push((id, Ok(()))),
        }
    }

    fn count(&self, step: &Step, took: Duration) {
        if !step.answers.is_empty() {
            self.metrics.record_processing_time(took);
        }
        let errors = step.answers.iter().filter_map(|(_, result)| result.as_ref().err());
        let mut succeeded = step.answers.len();
        for error in errors {
            succeeded -= 1;
            if error.is_filtered() {
                continue;
            }
            self.metrics.record_error(error.label());
            if error.is_retry() {
                self.metrics.record_retry();
            }
        }
        if succeeded > 0 {
            self.metrics.succeeded(succeeded as u64);
        }
        complain(&step.answers);
        if let Some(fault) = &step.fault {
            self.metrics.record_error(fault.label());
            error!(error = %fault, "the connector has to stop");
        }
        self.metrics.set_inflight(self.in_hand());
    }
}

/// Names the first of the records that were not written, and counts the others.
fn complain(answers: &[(u64, Result<(), NotWritten>)]) {
    let failure = |(id, result): &(u64, Result<(), NotWritten>)| {
        let error = result.as_ref().err().filter(|error| error.kind() != Kind::Filtered)?;
        Some((*id, error.to_string()))
    };
    let mut failures = answers.iter().filter_map(failure);
    if let Some((delivery_id, error)) = failures.next() {
        warn!(delivery_id, error, others = failures.count(), "a record was not written");
    }
}

fn held() -> NotWritten {
    NotWritten::retry("an earlier record of the same key has to be written first").code("HELD")
}

fn miscounted(results: usize, records: usize) -> NotWritten {
    NotWritten::fatal(format!(
        "process_batch_results returned {results} results for {records} records; \
         it has to return one for each"
    ))
}
