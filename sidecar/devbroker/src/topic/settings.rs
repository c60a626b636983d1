//! What the schema registry and the admin API set on a topic.

use std::{io, time::Duration};

use danube_core::proto::{StreamMessage, consumer_request::SubscriptionType};
use serde::{Deserialize, Serialize};

use super::{State, Topic};
use crate::config::FailurePolicy;

/// What the admin API set for a subscription, perhaps before it exists.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Policy {
    pub(crate) failure: Option<(FailurePolicy, Duration)>,
    pub(crate) window: Option<usize>,
}

/// The schema of a topic's messages.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct SchemaBinding {
    pub(crate) subject: String,
    pub(crate) id: u64,
    pub(crate) validation: Validation,
}

/// What happens to a message without the topic's schema.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Validation {
    #[default]
    None,
    Warn,
    Enforce,
}

/// The topic has another schema.
#[derive(Debug)]
pub(crate) struct SchemaConflict {
    pub(crate) existing: String,
}

impl SchemaBinding {
    pub(super) fn refuses(&self, message: &StreamMessage) -> bool {
        self.validation != Validation::None && message.schema_id != Some(self.id)
    }
}

impl Validation {
    pub(crate) fn parse(name: &str) -> Option<Self> {
        match name.to_lowercase().as_str() {
            "none" => Some(Self::None),
            "warn" => Some(Self::Warn),
            "enforce" => Some(Self::Enforce),
            _ => None,
        }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Warn => "warn",
            Self::Enforce => "enforce",
        }
    }
}

impl Topic {
    pub(crate) fn schema(&self) -> Option<SchemaBinding> {
        self.lock().schema.clone()
    }

    pub(crate) fn set_schema(&self, schema: SchemaBinding) -> io::Result<()> {
        self.change(|state| state.schema = Some(schema))
    }

    /// The first producer with a schema decides for the topic.
    pub(crate) fn bind_schema(&self, subject: &str, id: u64) -> Result<(), SchemaConflict> {
        let mut state = self.lock();
        match &state.schema {
            Some(bound) if bound.subject != subject => {
                Err(SchemaConflict { existing: bound.subject.clone() })
            }
            Some(_) => Ok(()),
            None => {
                let subject = subject.to_owned();
                state.schema = Some(SchemaBinding { subject, id, validation: Validation::None });
                // Written with the cursors; the next producer would bind it again.
                state.moved = true;
                Ok(())
            }
        }
    }

    pub(crate) fn subscription_names(&self) -> Vec<String> {
        self.lock().subscriptions.keys().cloned().collect()
    }

    pub(crate) fn subscription_type(&self, subscription: &str) -> Option<SubscriptionType> {
        self.lock().subscriptions.get(subscription).map(|known| known.rules.kind)
    }

    /// Removes a subscription and returns the ids of its consumers; none if there
    /// is no such subscription, or one of its consumers is connected.
    pub(crate) fn unsubscribe(&self, subscription: &str) -> io::Result<Option<Vec<u64>>> {
        let mut removed = None;
        self.change(|state| {
            let Some(known) = state.subscriptions.get(subscription) else { return };
            if !known.has_open_consumers() {
                removed = Some(known.consumers.iter().map(|consumer| consumer.id).collect());
                state.subscriptions.remove(subscription);
                state.trim();
            }
        })?;
        Ok(removed)
    }

    pub(crate) fn failure_policy(&self, subscription: &str) -> Option<(FailurePolicy, Duration)> {
        let state = self.lock();
        if let Some(known) = state.subscriptions.get(subscription) {
            return Some((known.rules.failure.clone(), known.rules.ack_timeout));
        }
        state.policies.get(subscription)?.failure.clone()
    }

    /// Takes effect at once, unlike on a real broker.
    pub(crate) fn set_failure_policy(
        &self,
        subscription: &str,
        policy: FailurePolicy,
        ack_timeout: Duration,
    ) -> io::Result<()> {
        self.change(|state| {
            if let Some(known) = state.subscriptions.get_mut(subscription) {
                known.rules.failure = policy.clone();
                known.rules.ack_timeout = ack_timeout;
            }
            let kept = state.policies.entry(subscription.to_owned()).or_default();
            kept.failure = Some((policy, ack_timeout));
        })
    }

    pub(crate) fn window(&self, subscription: &str) -> Option<usize> {
        self.lock().policies.get(subscription)?.window
    }

    /// Takes effect at once, unlike on a real broker.
    pub(crate) fn set_window(&self, subscription: &str, window: usize) -> io::Result<()> {
        self.change(|state| {
            if let Some(known) = state.subscriptions.get_mut(subscription) {
                known.rules.window = window;
                known.dispatch(&state.log);
            }
            state.policies.entry(subscription.to_owned()).or_default().window = Some(window);
        })
    }

    fn change(&self, change: impl FnOnce(&mut State)) -> io::Result<()> {
        let mut state = self.lock();
        change(&mut state);
        self.keep(&mut state)
    }
}
