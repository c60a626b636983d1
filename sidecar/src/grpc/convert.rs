//! Frames of the wire to and from the sidecar's own words.
//!
//! **Architecture invariant:** only this module (with its half for sources) sees
//! wire types and domain types together.

use std::time::Duration;

use danube_connector_proto::{PROTOCOL_VERSION, v1};
use danube_sidecar_core::{
    outcome::{DeliveryId, Failure, Outcome, Results},
    record::SchemaRef,
};

use super::limits;
use crate::{
    bounds::{
        self, ConnectorName, ConsumerName, KeyFilter, NotAName, SdkName, SubscriptionName, Text,
        TooLong, Url, WorkerId,
    },
    config::{self, SubscriptionKind, TopicName},
    refusal::Refusal,
    session::{Caller, Capabilities, Fault, FromSink, Health, SinkOpen},
};

/// What both kinds of `open` say of the caller.
pub(super) struct Introduction {
    pub(super) connector: String,
    pub(super) worker_id: String,
    pub(super) min_protocol_version: u32,
    pub(super) max_protocol_version: u32,
    pub(super) capabilities: Vec<i32>,
    pub(super) max_frame_bytes: u64,
    pub(super) sdk: String,
    pub(super) danube_service_url: String,
}

/// Checks name, version and capabilities.
pub(super) fn caller(open: Introduction) -> Result<Caller, Refusal> {
    if open.connector.is_empty() {
        return Err(invalid("open.connector", "is empty: give the connector's name"));
    }
    let connector = ConnectorName::try_from(open.connector)
        .map_err(|problem: NotAName| invalid("open.connector", &problem.to_string()))?;
    let worker_id: WorkerId = text("open.worker_id", open.worker_id)?;
    let sdk: SdkName = text("open.sdk", open.sdk)?;
    let url: Url = text("open.danube_service_url", open.danube_service_url)?;
    let min = open.min_protocol_version.max(1);
    let max = open.max_protocol_version.max(min);
    if !(min..=max).contains(&PROTOCOL_VERSION) {
        return Err(Refusal::NoCommonVersion { ours: PROTOCOL_VERSION, min, max });
    }
    let frame = usize::try_from(open.max_frame_bytes).unwrap_or(usize::MAX);
    Ok(Caller {
        connector: connector.into(),
        worker_id: non_empty(worker_id.into()),
        capabilities: capabilities(&open.capabilities)?,
        max_frame_bytes: limits::outbound_frame(frame),
        sdk: sdk.into(),
        danube_service_url: non_empty(url.into()),
    })
}

/// A text, as long as it may be.
pub(super) fn text<const MAX: usize>(
    field: &'static str,
    sent: String,
) -> Result<Text<MAX>, Refusal> {
    sent.try_into().map_err(|problem: TooLong| Refusal::TooLong { field, problem })
}

/// A list, as long as it may be.
pub(super) fn list<T>(field: &'static str, sent: Vec<T>, max: usize) -> Result<Vec<T>, Refusal> {
    if sent.len() > max {
        return Err(invalid(field, &format!("names {}, and may name {max}", sent.len())));
    }
    Ok(sent)
}

fn capabilities(declared: &[i32]) -> Result<Capabilities, Refusal> {
    let mut known = Capabilities::default();
    for &capability in declared {
        match v1::Capability::try_from(capability) {
            Ok(v1::Capability::Unspecified) => return Err(zero_enum("open.capabilities")),
            Ok(v1::Capability::Probe) => known.probe = true,
            Ok(v1::Capability::Drain) => known.drain = true,
            Ok(v1::Capability::Schema) => known.schema = true,
            Ok(v1::Capability::PositionPages) => known.position_pages = true,
            // `flow` needs no promise of the sidecar; unknown ones are of a later version.
            Ok(v1::Capability::Flow) | Err(_) => {}
        }
    }
    Ok(known)
}

/// A worker's `open`.
pub(super) fn sink_open(open: v1::SinkOpen) -> Result<SinkOpen, Refusal> {
    let caller = caller(Introduction {
        connector: open.connector,
        worker_id: open.worker_id,
        min_protocol_version: open.min_protocol_version,
        max_protocol_version: open.max_protocol_version,
        capabilities: open.capabilities,
        max_frame_bytes: open.max_frame_bytes,
        sdk: open.sdk,
        danube_service_url: open.danube_service_url,
    })?;
    let subscriptions = list("open.subscriptions", open.subscriptions, bounds::TOPICS)?
        .into_iter()
        .map(|wanted| subscription(&caller.connector, wanted))
        .collect::<Result<_, _>>()?;
    let retry = open.retry.unwrap_or_default();
    Ok(SinkOpen {
        subscriptions,
        delivery: config::Delivery {
            batch_records: positive(open.max_batch_records.into()),
            batch_bytes: positive(open.max_batch_bytes),
            linger: duration("open.linger", open.linger)?,
            ordering: open.ordering.map(ordering).transpose()?,
            window_records: positive(open.window_records.into()),
            window_bytes: positive(open.window_bytes),
            result_timeout: None,
        },
        retry: config::Retry {
            max_retries: retry.max_retries,
            initial_backoff: duration("open.retry.initial_backoff", retry.initial_backoff)?,
            max_backoff: duration("open.retry.max_backoff", retry.max_backoff)?,
            ..config::Retry::default()
        },
        caller,
    })
}

fn subscription(
    connector: &str,
    wanted: v1::Subscription,
) -> Result<config::Subscription, Refusal> {
    let kind = match wanted.r#type {
        None => SubscriptionKind::Exclusive,
        Some(kind) => subscription_kind(kind)?,
    };
    let subscription: SubscriptionName =
        text("open.subscriptions.subscription", wanted.subscription)?;
    let consumer: ConsumerName = text("open.subscriptions.consumer_name", wanted.consumer_name)?;
    const FILTERS: &str = "open.subscriptions.key_filters";
    let filters = list(FILTERS, wanted.key_filters, bounds::KEY_FILTERS)?
        .into_iter()
        .map(|filter| text::<{ KeyFilter::MAX }>(FILTERS, filter).map(Into::into));
    Ok(config::Subscription {
        topic: topic("open.subscriptions.topic", &wanted.topic)?,
        subscription: non_empty(subscription.into()).unwrap_or_else(|| connector.to_owned()),
        kind,
        consumer_name: non_empty(consumer.into()).unwrap_or_else(|| connector.to_owned()),
        key_filters: filters.collect::<Result<_, _>>()?,
    })
}

fn subscription_kind(kind: i32) -> Result<SubscriptionKind, Refusal> {
    const FIELD: &str = "open.subscriptions.type";
    match v1::SubscriptionType::try_from(kind) {
        Ok(v1::SubscriptionType::Exclusive) => Ok(SubscriptionKind::Exclusive),
        Ok(v1::SubscriptionType::Shared) => Ok(SubscriptionKind::Shared),
        Ok(v1::SubscriptionType::Failover) => Ok(SubscriptionKind::Failover),
        Ok(v1::SubscriptionType::KeyShared) => Ok(SubscriptionKind::KeyShared),
        Ok(v1::SubscriptionType::Unspecified) => Err(zero_enum(FIELD)),
        Err(_) => Err(invalid(FIELD, "is not a type that this sidecar knows")),
    }
}

fn ordering(ordering: i32) -> Result<config::Ordering, Refusal> {
    match v1::Ordering::try_from(ordering) {
        Ok(v1::Ordering::Key) => Ok(config::Ordering::Key),
        Ok(v1::Ordering::Partition) => Ok(config::Ordering::Partition),
        Ok(v1::Ordering::None) => Ok(config::Ordering::None),
        Ok(v1::Ordering::Unspecified) => Err(zero_enum("open.ordering")),
        Err(_) => Err(invalid("open.ordering", "is not an ordering that this sidecar knows")),
    }
}

/// A worker's frame after `open`; none where it is of a later version.
pub(super) fn from_sink(frame: v1::sink_service_run_request::Frame) -> Result<FromSink, Refusal> {
    use v1::sink_service_run_request::Frame;
    match frame {
        Frame::Open(_) => Err(Refusal::OpenedTwice),
        Frame::Results(sent) => results(sent).map(FromSink::Results),
        Frame::Flow(flow) => Ok(FromSink::Flow {
            records: flow.window_records.map(|records| records as usize),
            bytes: flow.window_bytes.map(|bytes| usize::try_from(bytes).unwrap_or(usize::MAX)),
        }),
        Frame::Health(sent) => health(sent).map(FromSink::Health),
        Frame::Fault(sent) => Ok(FromSink::Fault(fault(sent))),
        Frame::Drained(_) => Ok(FromSink::Drained),
    }
}

fn results(sent: v1::SinkResults) -> Result<Results, Refusal> {
    let acked = sent.acked.iter().map(|r| (DeliveryId(r.first), DeliveryId(r.last))).collect();
    let failures = sent.failures.into_iter().map(failure).collect::<Result<_, _>>()?;
    Ok(Results { acked, failures })
}

fn failure(sent: v1::SinkFailure) -> Result<Failure, Refusal> {
    let outcome = match v1::Outcome::try_from(sent.outcome) {
        Ok(v1::Outcome::Unspecified) => return Err(zero_enum("results.failures.outcome")),
        Ok(v1::Outcome::Reject) => Outcome::Reject,
        Ok(v1::Outcome::Filtered) => Outcome::Filtered,
        Ok(v1::Outcome::Busy) => Outcome::Busy { after: retry_after(sent.retry_after)? },
        // An outcome of a later version counts as RETRY.
        Ok(v1::Outcome::Retry) | Err(_) => Outcome::Retry { after: retry_after(sent.retry_after)? },
    };
    let delivery = DeliveryId(sent.delivery_id);
    let (code, message) = (bounds::cut(sent.code), bounds::cut(sent.message));
    Ok(Failure { delivery, outcome, code, message })
}

fn retry_after(sent: Option<prost_types::Duration>) -> Result<Option<Duration>, Refusal> {
    duration("results.failures.retry_after", sent)
}

/// The answer to a probe.
pub(super) fn health(sent: v1::Health) -> Result<Health, Refusal> {
    let healthy = match v1::health::Status::try_from(sent.status) {
        Ok(v1::health::Status::Unspecified) => return Err(zero_enum("health.status")),
        Ok(v1::health::Status::Healthy) => true,
        Ok(v1::health::Status::Unhealthy) | Err(_) => false,
    };
    let v1::Health { probe_id: probe, message, checked, .. } = sent;
    Ok(Health { probe, healthy, message: bounds::cut(message), checked })
}

/// Why a connector cannot go on.
pub(super) fn fault(sent: v1::Fault) -> Fault {
    Fault { code: bounds::cut(sent.code), message: bounds::cut(sent.message) }
}

/// A reference to a schema.
pub(super) fn schema_ref(schema: SchemaRef) -> v1::SchemaRef {
    v1::SchemaRef { schema_id: schema.schema_id, version: schema.version }
}

/// A subscription in force.
pub(super) fn subscription_in_force(subscription: &config::Subscription) -> v1::Subscription {
    let kind = match subscription.kind {
        SubscriptionKind::Exclusive => v1::SubscriptionType::Exclusive,
        SubscriptionKind::Shared => v1::SubscriptionType::Shared,
        SubscriptionKind::Failover => v1::SubscriptionType::Failover,
        SubscriptionKind::KeyShared => v1::SubscriptionType::KeyShared,
    };
    v1::Subscription {
        topic: subscription.topic.to_string(),
        subscription: subscription.subscription.clone(),
        r#type: Some(kind.into()),
        consumer_name: subscription.consumer_name.clone(),
        key_filters: subscription.key_filters.clone(),
    }
}

/// The name of a sink frame, for messages.
pub(super) fn sink_frame_name(frame: &v1::sink_service_run_request::Frame) -> &'static str {
    use v1::sink_service_run_request::Frame;
    match frame {
        Frame::Open(_) => "open",
        Frame::Results(_) => "results",
        Frame::Flow(_) => "flow",
        Frame::Health(_) => "health",
        Frame::Fault(_) => "fault",
        Frame::Drained(_) => "drained",
    }
}

/// How long the connector has, as the wire says it.
pub(super) fn drain(timeout: Duration) -> v1::Drain {
    v1::Drain { timeout: prost_types::Duration::try_from(timeout).ok() }
}

/// A topic, checked.
pub(super) fn topic(field: &'static str, name: &str) -> Result<TopicName, Refusal> {
    name.parse().map_err(|problem| Refusal::InvalidField { field, problem })
}

pub(super) fn zero_enum(field: &'static str) -> Refusal {
    invalid(field, "is 0 (UNSPECIFIED), which is never valid: set one of the named values")
}

pub(super) fn invalid(field: &'static str, problem: &str) -> Refusal {
    Refusal::InvalidField { field, problem: problem.to_owned() }
}

fn non_empty(text: String) -> Option<String> {
    Some(text).filter(|text| !text.is_empty())
}

fn positive(number: u64) -> Option<usize> {
    usize::try_from(number).ok().filter(|number| *number > 0)
}

fn duration(
    field: &'static str,
    sent: Option<prost_types::Duration>,
) -> Result<Option<Duration>, Refusal> {
    let Some(sent) = sent else { return Ok(None) };
    Duration::try_from(sent)
        .map(Some)
        .map_err(|_| invalid(field, "is negative or out of range: expected a span of time"))
}
