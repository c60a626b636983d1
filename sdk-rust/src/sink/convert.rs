//! Between wire frames and what connectors see: the only place of the sink that
//! knows both.

use std::time::Duration;

use danube_connector_proto::{PROTOCOL_VERSION, v1};

use crate::{
    ConnectorConfig, ConsumerConfig, NotWritten, SDK, Schema, SubscriptionType,
    config::ProcessingSettings, outcome::Kind, wire_text::shortened,
};

/// The first frame of a sink.
pub(crate) fn open(config: &ConnectorConfig, consumers: &[ConsumerConfig]) -> v1::SinkOpen {
    let batch = u32::try_from(config.processing.batch_size).unwrap_or(u32::MAX);
    v1::SinkOpen {
        connector: config.connector_name.clone(),
        min_protocol_version: 1,
        max_protocol_version: PROTOCOL_VERSION,
        capabilities: vec![
            v1::Capability::Probe.into(),
            v1::Capability::Drain.into(),
            v1::Capability::Schema.into(),
        ],
        sdk: SDK.to_owned(),
        danube_service_url: config.danube_service_url.clone(),
        subscriptions: consumers.iter().map(subscription).collect(),
        // One batch is written while the next ones are on their way.
        window_records: batch.saturating_mul(4),
        max_batch_records: batch,
        linger: linger(&config.processing),
        retry: Some(retry(config)),
        ..v1::SinkOpen::default()
    }
}

/// A file that says nothing and a file that repeats the default cannot be told
/// apart, so the default means: do not wait.
fn linger(processing: &ProcessingSettings) -> Option<prost_types::Duration> {
    let set = processing.batch_timeout_ms;
    let default = ProcessingSettings::default().batch_timeout_ms;
    (set != default).then(|| wire_duration(Duration::from_millis(set)))
}

fn retry(config: &ConnectorConfig) -> v1::RetrySettings {
    let retry = &config.retry;
    v1::RetrySettings {
        max_retries: Some(retry.max_retries),
        initial_backoff: Some(wire_duration(Duration::from_millis(retry.retry_backoff_ms))),
        max_backoff: Some(wire_duration(Duration::from_millis(retry.max_backoff_ms))),
    }
}

fn subscription(consumer: &ConsumerConfig) -> v1::Subscription {
    let kind = match consumer.subscription_type {
        SubscriptionType::Exclusive => v1::SubscriptionType::Exclusive,
        SubscriptionType::Shared => v1::SubscriptionType::Shared,
        SubscriptionType::FailOver => v1::SubscriptionType::Failover,
    };
    v1::Subscription {
        topic: consumer.topic.clone(),
        subscription: consumer.subscription.clone(),
        r#type: Some(kind.into()),
        consumer_name: consumer.consumer_name.clone(),
        key_filters: Vec::new(),
    }
}

/// What the sidecar is told of a record that was not written.
pub(crate) fn failure(delivery_id: u64, error: &NotWritten) -> v1::SinkFailure {
    let outcome = match error.kind() {
        // A fatal one is told as a fault; its record stays with the sidecar.
        Kind::Retry | Kind::Fatal => v1::Outcome::Retry,
        Kind::Busy => v1::Outcome::Busy,
        Kind::Reject => v1::Outcome::Reject,
        Kind::Filtered => v1::Outcome::Filtered,
    };
    v1::SinkFailure {
        delivery_id,
        outcome: outcome.into(),
        retry_after: error.retry_after().map(wire_duration),
        code: error.error_code().to_owned(),
        message: shortened(error.message()),
    }
}

/// A schema, as records show it.
pub(crate) fn schema(schema: v1::Schema) -> Schema {
    let reference = schema.r#ref.unwrap_or_default();
    Schema {
        id: reference.schema_id,
        version: reference.version,
        subject: schema.subject,
        schema_type: schema.r#type,
        definition: schema.definition.to_vec(),
    }
}

fn wire_duration(duration: Duration) -> prost_types::Duration {
    prost_types::Duration {
        seconds: i64::try_from(duration.as_secs()).unwrap_or(i64::MAX),
        nanos: duration.subsec_nanos().cast_signed(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ConnectorError;

    fn config(batch_timeout_ms: u64) -> ConnectorConfig {
        let processing = ProcessingSettings { batch_timeout_ms, ..ProcessingSettings::default() };
        ConnectorConfig { processing, ..ConnectorConfig::default() }
    }

    #[test]
    fn a_batch_waits_only_where_that_was_set() {
        assert_eq!(open(&config(1000), &[]).linger, None);
        assert_eq!(open(&config(20), &[]).linger, Some(wire_duration(Duration::from_millis(20))));
    }

    #[test]
    fn only_wrong_data_is_rejected() {
        let outcome = |error: ConnectorError| failure(1, &error.into()).outcome();

        assert_eq!(outcome(ConnectorError::invalid_data("x", Vec::new())), v1::Outcome::Reject);
        assert_eq!(outcome(ConnectorError::Serialization(String::new())), v1::Outcome::Reject);
        assert_eq!(outcome(ConnectorError::retryable("x")), v1::Outcome::Retry);
        assert_eq!(outcome(std::io::Error::other("x").into()), v1::Outcome::Retry);
        assert_eq!(failure(1, &NotWritten::filtered("x")).outcome(), v1::Outcome::Filtered);
        assert_eq!(failure(1, &NotWritten::busy("x")).outcome(), v1::Outcome::Busy);
    }
}
