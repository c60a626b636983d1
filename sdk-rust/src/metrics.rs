//! What a connector counts, through the `metrics` facade: install any recorder
//! to see it.

use std::time::Duration;

use metrics::{counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram};

const RECEIVED: &str = "danube_connector_messages_received_total";
const PROCESSED: &str = "danube_connector_messages_processed_total";
const FAILED: &str = "danube_connector_messages_failed_total";
const RETRIED: &str = "danube_connector_messages_retried_total";
const DURATION: &str = "danube_connector_processing_duration_seconds";
const BATCH_SIZE: &str = "danube_connector_batch_size";
const INFLIGHT: &str = "danube_connector_inflight_messages";
const HEALTH: &str = "danube_connector_health";

/// Records a connector's metrics, labelled with its name and a topic.
#[derive(Debug, Clone)]
pub struct ConnectorMetrics {
    connector: String,
    topic: String,
}

impl ConnectorMetrics {
    /// Metrics with these labels.
    pub fn new(connector_name: impl Into<String>, topic: impl Into<String>) -> Self {
        describe();
        Self { connector: connector_name.into(), topic: topic.into() }
    }

    /// Counts a record that came in.
    pub fn record_received(&self) {
        self.received(1);
    }

    /// Counts a record that was processed.
    pub fn record_success(&self) {
        self.succeeded(1);
    }

    /// Counts records that came in together.
    pub(crate) fn received(&self, records: u64) {
        counter!(RECEIVED, &self.labels()).increment(records);
    }

    /// Counts records that were processed together.
    pub(crate) fn succeeded(&self, records: u64) {
        counter!(PROCESSED, &self.labels()).increment(records);
    }

    /// Counts a failure. Take `error_type` from a closed set: it becomes a label.
    pub fn record_error(&self, error_type: &str) {
        let [connector, topic] = self.labels();
        let labels = [connector, topic, ("error_type", error_type.to_owned())];
        counter!(FAILED, &labels).increment(1);
    }

    /// Counts another attempt at a record.
    pub fn record_retry(&self) {
        counter!(RETRIED, &self.labels()).increment(1);
    }

    /// Records how long processing took.
    pub fn record_processing_time(&self, duration: Duration) {
        histogram!(DURATION, &self.labels()).record(duration.as_secs_f64());
    }

    /// Records how many records a batch had.
    pub fn record_batch_size(&self, size: usize) {
        histogram!(BATCH_SIZE, &self.labels()).record(size as f64);
    }

    /// Says how many records are being worked on.
    pub fn set_inflight(&self, count: usize) {
        gauge!(INFLIGHT, &self.labels()).set(count as f64);
    }

    /// One more record is being worked on.
    pub fn increment_inflight(&self) {
        gauge!(INFLIGHT, &self.labels()).increment(1.0);
    }

    /// One record less is being worked on.
    pub fn decrement_inflight(&self) {
        gauge!(INFLIGHT, &self.labels()).decrement(1.0);
    }

    /// Says whether the connector is well.
    pub fn set_health(&self, healthy: bool) {
        gauge!(HEALTH, &self.labels()).set(if healthy { 1.0 } else { 0.0 });
    }

    fn labels(&self) -> [(&'static str, String); 2] {
        [("connector", self.connector.clone()), ("topic", self.topic.clone())]
    }
}

fn describe() {
    describe_counter!(RECEIVED, "Total number of messages received by the connector");
    describe_counter!(PROCESSED, "Total number of messages successfully processed");
    describe_counter!(FAILED, "Total number of messages that failed processing");
    describe_counter!(RETRIED, "Total number of message processing retries");
    describe_histogram!(DURATION, "Time spent processing a record or batch, in seconds");
    describe_histogram!(BATCH_SIZE, "Number of messages in each batch");
    describe_gauge!(INFLIGHT, "Current number of messages being processed");
    describe_gauge!(HEALTH, "Connector health status (1 = healthy, 0 = unhealthy)");
}
