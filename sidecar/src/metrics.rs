//! Counters of the sidecar, for Prometheus. The guide's names are kept; labels
//! come from closed sets and the names of connectors.

use danube_sidecar_core::{
    dispatch::{Breaker, Offer},
    outcome::Resolution,
};
use metrics::{Counter, Gauge, counter, describe_counter, describe_gauge, gauge};

/// Names every metric for `/metrics`.
pub fn describe() {
    describe_counter!(
        "danube_connector_messages_received_total",
        "Records from Danube, repeats included."
    );
    describe_counter!("danube_connector_messages_processed_total", "Records resolved, by how.");
    describe_counter!("danube_connector_messages_delivered_total", "Records offered to workers.");
    describe_counter!("danube_connector_redeliveries_total", "Offers after the first one.");
    describe_counter!(
        "danube_connector_messages_retried_total",
        "Failed attempts that are offered again."
    );
    describe_counter!(
        "danube_connector_gap_messages_total",
        "Messages that the broker passed over."
    );
    describe_counter!(
        "danube_connector_gap_messages_late_total",
        "Messages that came after they had been counted as passed over."
    );
    describe_counter!("danube_connector_records_received_total", "Records from source connectors.");
    describe_counter!("danube_connector_records_published_total", "Records that Danube confirmed.");
    describe_counter!(
        "danube_connector_records_rejected_total",
        "Records that can never be published."
    );
    describe_counter!(
        "danube_sidecar_panics_total",
        "Panics anywhere in the sidecar, each a fault of it."
    );
    describe_gauge!(
        "danube_sidecar_stranded_records",
        "Records in the data directory, at the start, for a name that no connector of the file has."
    );
    describe_gauge!("danube_sidecar_stranded_bytes", "All that is held for such a name.");
    describe_gauge!(
        "danube_sidecar_stranded_oldest_timestamp_seconds",
        "When the oldest record (else dead letter) for such a name came, since the Unix epoch."
    );
    describe_gauge!("danube_connector_health", "1: the external system is well, 0: it is not.");
    describe_gauge!(
        "danube_connector_waiting",
        "1: the connector waits, for what `state` says (`status` tells cause and remedy); 0: not."
    );
    describe_gauge!(
        "danube_connector_failing_records",
        "Records that failed and are not resolved, by what they wait for."
    );
    describe_gauge!(
        "danube_connector_oldest_failure_seconds",
        "For how long the record that has failed for the longest time has failed; 0: none fails."
    );
    describe_gauge!("danube_connector_workers", "Attached workers.");
    describe_counter!(
        "danube_connector_busy_total",
        "Pauses of workers whose external system was busy."
    );
    describe_gauge!(
        "danube_connector_workers_busy",
        "Attached workers that pause, because their external system is busy."
    );
    describe_gauge!(
        "danube_connector_inbox_paused",
        "1: the inbox takes no records, because it or its disk is full; status says which."
    );
    describe_gauge!(
        "danube_connector_breaker_open",
        "1: nothing succeeds at the connector, so records wait; 0.5: one is tried; 0: they flow."
    );
}

/// Counters of one sink.
pub struct SinkMetrics {
    received: Counter,
    delivered: Counter,
    redelivered: Counter,
    retried: Counter,
    gaps: Counter,
    late: Counter,
    resolved: [Counter; 4],
    workers: Gauge,
    busy: Counter,
    workers_busy: Gauge,
    breaker: Gauge,
    inbox_paused: Gauge,
}

impl SinkMetrics {
    /// The counters of this connector.
    pub fn new(connector: &str) -> Self {
        let name = || connector.to_owned();
        let resolved = |how: &'static str| counter!("danube_connector_messages_processed_total", "connector" => name(), "outcome" => how);
        Self {
            received: counter!("danube_connector_messages_received_total", "connector" => name()),
            delivered: counter!("danube_connector_messages_delivered_total", "connector" => name()),
            redelivered: counter!("danube_connector_redeliveries_total", "connector" => name()),
            retried: counter!("danube_connector_messages_retried_total", "connector" => name()),
            gaps: counter!("danube_connector_gap_messages_total", "connector" => name()),
            late: counter!("danube_connector_gap_messages_late_total", "connector" => name()),
            resolved: ["acked", "filtered", "dead_lettered", "skipped"].map(resolved),
            workers: gauge!("danube_connector_workers", "connector" => name()),
            busy: counter!("danube_connector_busy_total", "connector" => name()),
            workers_busy: gauge!("danube_connector_workers_busy", "connector" => name()),
            breaker: gauge!("danube_connector_breaker_open", "connector" => name()),
            inbox_paused: gauge!("danube_connector_inbox_paused", "connector" => name()),
        }
    }

    /// A record came from Danube.
    pub fn received(&self) {
        self.received.increment(1);
    }

    /// A batch went to a worker.
    pub fn delivered(&self, batch: &[Offer]) {
        self.delivered.increment(batch.len() as u64);
        let again = batch.iter().filter(|offer| offer.attempt > 1).count();
        self.redelivered.increment(again as u64);
    }

    /// A record failed and is offered again.
    pub fn retried(&self) {
        self.retried.increment(1);
    }

    /// The broker passed over messages.
    pub fn gap(&self, messages: u64) {
        self.gaps.increment(messages);
    }

    /// A message came after all that had been counted as passed over.
    pub fn gap_filled(&self) {
        self.late.increment(1);
    }

    /// A record came to its end.
    pub fn resolved(&self, how: Resolution) {
        let index = match how {
            Resolution::Acked => 0,
            Resolution::Filtered => 1,
            Resolution::DeadLettered => 2,
            Resolution::Skipped => 3,
        };
        self.resolved[index].increment(1);
    }

    /// Whether records flow to the connector.
    pub fn breaker(&self, breaker: Breaker) {
        self.breaker.set(match breaker {
            Breaker::Closed => 0.0,
            Breaker::HalfOpen => 0.5,
            Breaker::Open => 1.0,
        });
    }

    /// A worker's external system is busy.
    pub fn busy(&self) {
        self.busy.increment(1);
    }

    /// Attached workers that pause because of that.
    pub fn workers_busy(&self, workers: usize) {
        self.workers_busy.set(workers as f64);
    }

    /// The inbox takes no records, or does.
    pub fn inbox_paused(&self, paused: bool) {
        self.inbox_paused.set(f64::from(u8::from(paused)));
    }

    /// Attached workers.
    pub fn workers(&self, workers: usize) {
        self.workers.set(workers as f64);
    }
}

/// The external system of a connector is well, or not. There is no such number for a
/// connector that has never told.
pub fn connector_health(connector: &str, well: bool) {
    gauge!("danube_connector_health", "connector" => connector.to_owned())
        .set(f64::from(u8::from(well)));
}

/// Counters of one source.
pub struct SourceMetrics {
    received: Counter,
    published: Counter,
    rejected: Counter,
}

impl SourceMetrics {
    /// The counters of this connector.
    pub fn new(connector: &str) -> Self {
        let name = || connector.to_owned();
        Self {
            received: counter!("danube_connector_records_received_total", "connector" => name()),
            published: counter!("danube_connector_records_published_total", "connector" => name()),
            rejected: counter!("danube_connector_records_rejected_total", "connector" => name()),
        }
    }

    /// Records came from the connector.
    pub fn received(&self, records: usize) {
        self.received.increment(records as u64);
    }

    /// Danube confirmed one.
    pub fn confirmed(&self) {
        self.published.increment(1);
    }

    /// One can never be published.
    pub fn rejected(&self) {
        self.rejected.increment(1);
    }
}
