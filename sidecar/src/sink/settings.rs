//! File over proposal over default: what is in force for one sink.

use std::time::Duration;

use danube_sidecar_core::dispatch::{
    Limits, OnExhausted, Ordering, RetryPolicy, Settings, WorkerSettings,
};
use tracing::warn;

use crate::{
    config::{self, Connector, Policy, Shared, SubscriptionKind},
    grpc::MAX_RECORD,
    refusal::Refusal,
    session::SinkOpen,
};

/// Finished identities that are remembered per partition.
const REMEMBER: usize = 10_000;

/// What a sink does: the file's word, or the first worker's.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The file's tables for this connector.
    pub connector: Connector,
    /// What to consume.
    pub subscriptions: Vec<config::Subscription>,
    /// Whether it ends when its inbox is empty.
    pub drains: bool,
}

impl Plan {
    /// The plan of a connector whose file names its subscriptions.
    pub fn of_file(connector: Connector) -> Self {
        Self { subscriptions: connector.subscriptions.clone(), connector, drains: false }
    }

    /// The plan of what a name has left in its inbox: nothing else is consumed.
    pub fn of_estate(connector: Connector) -> Self {
        Self { subscriptions: Vec::new(), connector, drains: true }
    }

    /// The plan of a connector whose first worker may name its subscriptions.
    ///
    /// # Errors
    /// When nobody names any.
    pub fn of_worker(connector: Connector, open: &SinkOpen) -> Result<Self, Refusal> {
        let mut plan = Self::of_file(connector);
        if plan.subscriptions.is_empty() {
            plan.subscriptions.clone_from(&open.subscriptions);
        }
        if plan.subscriptions.is_empty() {
            let connector = plan.connector.name;
            return Err(Refusal::NothingToDo { connector, what: "subscriptions" });
        }
        Ok(plan)
    }

    /// Whether the operator allows all of it.
    ///
    /// # Errors
    /// The first thing that is not allowed.
    pub fn check(&self, policy: &Policy) -> Result<(), Refusal> {
        for wanted in &self.subscriptions {
            if !policy.allows(wanted.topic.as_str()) {
                return Err(Refusal::ForbiddenTopic { topic: wanted.topic.clone() });
            }
            self.check_kind(wanted, policy)?;
            self.check_dead_letter_topic(&wanted.topic)?;
        }
        self.check_overlap()
    }

    /// A message that came over two subscriptions of one sink could not be told
    /// from its own repeat.
    fn check_overlap(&self) -> Result<(), Refusal> {
        let mut topics = std::collections::HashSet::new();
        for wanted in &self.subscriptions {
            let name = wanted.topic.as_str();
            let base = name.rsplit_once("-part-").map_or(name, |(base, _)| base);
            if !topics.insert(name) || (base != name && topics.contains(base)) {
                return Err(Refusal::RefusedSubscription {
                    topic: wanted.topic.clone(),
                    subscription: wanted.subscription.clone(),
                    problem: "the connector subscribes to this topic twice: give one of them to \
                              another connector name",
                });
            }
        }
        Ok(())
    }

    /// Danube looks topics up by prefix: two that extend one another get mixed up.
    fn check_dead_letter_topic(&self, topic: &config::TopicName) -> Result<(), Refusal> {
        let Some(dead_letter) = self.connector.dead_letter_topic() else { return Ok(()) };
        let clash = dead_letter.starts_with(topic.as_str())
            || topic.as_str().starts_with(dead_letter.as_str());
        if !clash {
            return Ok(());
        }
        Err(Refusal::DeadLetterTopic { dead_letter, topic: topic.clone() })
    }

    /// The delivery rules; `open` is the first worker's, where there is one. An inbox
    /// remembers by itself which messages came before.
    pub fn rules(&self, open: Option<&SinkOpen>, inbox: bool) -> Settings {
        let file = &self.connector.delivery;
        let ordering = file.ordering.or(open.and_then(|open| open.delivery.ordering));
        let timeout = file.result_timeout.unwrap_or(Duration::from_secs(600));
        Settings {
            ordering: match ordering.unwrap_or(config::Ordering::Key) {
                config::Ordering::Key => Ordering::Key,
                config::Ordering::Partition => Ordering::Partition,
                config::Ordering::None => Ordering::None,
            },
            retry: self.retry(open),
            on_exhausted: match self.connector.retry.on_exhausted {
                config::OnExhausted::DeadLetter => OnExhausted::DeadLetter,
                config::OnExhausted::Skip => OnExhausted::Skip,
                config::OnExhausted::Suspend => OnExhausted::Suspend,
            },
            dead_letters: self.connector.dead_letters.enabled,
            result_timeout: Some(timeout).filter(|timeout| !timeout.is_zero()),
            max_record_bytes: open.map_or(MAX_RECORD, |open| open.caller.max_frame_bytes),
            remember: if inbox { 0 } else { REMEMBER },
        }
    }

    fn retry(&self, open: Option<&SinkOpen>) -> RetryPolicy {
        let file = &self.connector.retry;
        let proposed = open.map(|open| open.retry.clone()).unwrap_or_default();
        let span = |file: Option<Duration>, proposed: Option<Duration>, default: u64| {
            file.or(proposed).unwrap_or(Duration::from_secs(default))
        };
        RetryPolicy {
            max_retries: file.max_retries.or(proposed.max_retries).unwrap_or(3),
            initial_backoff: span(file.initial_backoff, proposed.initial_backoff, 1),
            max_backoff: span(file.max_backoff, proposed.max_backoff, 30),
            max_age: span(file.max_age, None, 24 * 60 * 60),
            max_age_alone: span(file.max_age, None, 10 * 60),
        }
    }

    /// One worker's window and batches.
    pub fn worker(&self, open: &SinkOpen) -> WorkerSettings {
        let (file, asked) = (&self.connector.delivery, &open.delivery);
        let number = |file: Option<usize>, asked: Option<usize>, default: usize| {
            file.or(asked).unwrap_or(default)
        };
        let window = Limits {
            records: number(file.window_records, asked.window_records, 1000),
            bytes: number(file.window_bytes, asked.window_bytes, 16 << 20),
        };
        WorkerSettings {
            window,
            batch: Limits {
                // One batch is written while the next one is on its way.
                records: number(
                    file.batch_records,
                    asked.batch_records,
                    window.records.div_ceil(2).min(1000),
                ),
                bytes: number(file.batch_bytes, asked.batch_bytes, 1 << 20)
                    .min(open.caller.max_frame_bytes),
            },
            linger: file.linger.or(asked.linger).unwrap_or_default(),
            probe: open.caller.capabilities.probe,
        }
    }

    fn check_kind(&self, wanted: &config::Subscription, policy: &Policy) -> Result<(), Refusal> {
        let refused = |problem| {
            let (topic, subscription) = (wanted.topic.clone(), wanted.subscription.clone());
            Err(Refusal::RefusedSubscription { topic, subscription, problem })
        };
        match wanted.kind {
            SubscriptionKind::Exclusive => Ok(()),
            SubscriptionKind::KeyShared if !policy.allow_lossy_subscription => refused(
                "KEY_SHARED loses redeliveries on Danube 0.15: use EXCLUSIVE (the sidecar spreads \
                 keys over workers itself), or set [policy] allow_lossy_subscription = true",
            ),
            SubscriptionKind::KeyShared => Ok(()),
            SubscriptionKind::Failover => {
                warn!(
                    topic = %wanted.topic, subscription = %wanted.subscription,
                    "FAILOVER does not fail over on Danube 0.15: a second consumer stays idle for \
                     ever"
                );
                Ok(())
            }
            SubscriptionKind::Shared => match policy.shared {
                Shared::Alone => Ok(()),
                Shared::Refused => refused(
                    "several sidecars ([sidecar] replicas) on one SHARED subscription break the \
                     order of keys: use EXCLUSIVE (each sidecar takes its own partitions), or set \
                     [policy] allow_shared = true",
                ),
                Shared::Allowed if self.connector.inbox.enabled => Ok(()),
                Shared::Allowed => refused(
                    "several sidecars on one SHARED subscription need an inbox, because Danube \
                     hands what one of them holds to another: set [sidecar] data_dir",
                ),
            },
        }
    }
}
