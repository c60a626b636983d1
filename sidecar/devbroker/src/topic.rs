//! A topic: its messages, its subscriptions, and the one lock around them.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use danube_core::proto::{StreamMessage, consumer_request::SubscriptionType};
use tokio::{sync::Notify, time::Instant};

use crate::{
    config::{Config, FailurePolicy, Poison},
    consumer::Session,
    dead_letter::DeadLetter,
    log::Log,
    stall::{Command, Hang},
    subscription::{Held, Joined, Rules, Subscription},
};

/// A topic, partitioned topics being several.
#[derive(Debug)]
pub(crate) struct Topic {
    pub(crate) name: Arc<str>,
    pub(crate) reliable: bool,
    config: Arc<Config>,
    state: Mutex<State>,
}

/// What the lock guards. Every critical section is short and does not await.
#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) log: Log,
    pub(crate) subscriptions: BTreeMap<String, Subscription>,
    /// Policies set before the subscription exists.
    pub(crate) policies: HashMap<String, Policy>,
    pub(crate) producers: HashMap<String, u64>,
    pub(crate) schema: Option<String>,
    deleted: bool,
}

/// What the admin API set for a subscription.
#[derive(Clone, Debug, Default)]
pub(crate) struct Policy {
    pub(crate) failure: Option<(FailurePolicy, Duration)>,
    pub(crate) window: Option<usize>,
}

/// Why a message was not stored.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PublishError {
    #[error("topic {0} was deleted: create the producer again")]
    Deleted(Arc<str>),
    #[error(
        "topic {topic} holds {bytes} bytes that subscription {slowest} has not acked, the limit is \
         {limit}: consume or remove that subscription, or raise the limit"
    )]
    Full { topic: Arc<str>, slowest: String, bytes: usize, limit: usize },
}

/// Why a consumer cannot subscribe.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SubscribeError {
    #[error(
        "Not allowed to add the Consumer: {0}, the Exclusive subscription can't be shared with \
         other consumers"
    )]
    Held(String),
    #[error("dead_letter_topic must be configured when poison_policy is DeadLetter")]
    NoDeadLetterTopic,
}

/// What a stream finds when it looks for messages.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Taken {
    Open,
    Ended,
}

impl Topic {
    pub(crate) fn new(name: &str, reliable: bool, config: Arc<Config>) -> Self {
        Self { name: name.into(), reliable, config, state: Mutex::default() }
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Stores a message (or passes it on, if the topic is not reliable). Returns
    /// the subscriptions that have yet to be woken because they stand still.
    pub(crate) fn publish(
        &self,
        mut message: StreamMessage,
        now: Instant,
    ) -> Result<Vec<String>, PublishError> {
        let mut state = self.lock();
        let state = &mut *state;
        if state.deleted {
            return Err(PublishError::Deleted(Arc::clone(&self.name)));
        }
        if !self.reliable {
            let message = Arc::new(message);
            for subscription in state.subscriptions.values_mut() {
                subscription.push(&message);
            }
            return Ok(Vec::new());
        }
        self.check_room(state)?;
        let offset = state.log.end();
        if let Some(id) = &mut message.msg_id {
            id.topic_offset = offset;
        }
        state.log.append(Arc::new(message));
        let mut hanging = Vec::new();
        for (name, subscription) in &mut state.subscriptions {
            subscription.published(&state.log, now);
            if subscription.submit(Command::Wake, &state.log, now).is_err() {
                hanging.push(name.clone());
            }
        }
        state.trim();
        Ok(hanging)
    }

    fn check_room(&self, state: &State) -> Result<(), PublishError> {
        let (bytes, limit) = (state.log.bytes(), self.config.max_backlog_bytes);
        if bytes < limit {
            return Ok(());
        }
        let slowest = state.subscriptions.iter().min_by_key(|(_, s)| s.floor());
        let slowest = slowest.map(|(name, _)| name.clone()).unwrap_or_default();
        Err(PublishError::Full { topic: Arc::clone(&self.name), slowest, bytes, limit })
    }

    pub(crate) fn subscribe(
        &self,
        name: &str,
        kind: SubscriptionType,
        new_id: u64,
        consumer: &str,
        filters: Vec<String>,
        now: Instant,
    ) -> Result<Joined, SubscribeError> {
        let mut state = self.lock();
        let state = &mut *state;
        if !state.subscriptions.contains_key(name) {
            let rules = self.rules(kind, state.policies.get(name))?;
            let subscription = Subscription::new(rules, state.log.end());
            state.subscriptions.insert(name.to_owned(), subscription);
        }
        let Some(subscription) = state.subscriptions.get_mut(name) else {
            return Err(SubscribeError::Held(consumer.to_owned()));
        };
        subscription
            .join(new_id, consumer, filters, now)
            .map_err(|Held| SubscribeError::Held(consumer.to_owned()))
    }

    fn rules(
        &self,
        kind: SubscriptionType,
        policy: Option<&Policy>,
    ) -> Result<Rules, SubscribeError> {
        let policy = policy.cloned().unwrap_or_default();
        let defaults = (self.config.failure_policy.clone(), self.config.ack_timeout);
        let (failure, ack_timeout) = policy.failure.unwrap_or(defaults);
        if matches!(&failure.poison, Poison::DeadLetter { topic } if topic.trim().is_empty()) {
            return Err(SubscribeError::NoDeadLetterTopic);
        }
        Ok(Rules {
            kind,
            window: policy.window.unwrap_or(self.config.max_unacked_messages),
            ack_timeout,
            failure,
            oddities: self.config.oddities,
        })
    }

    /// Sends a command to a subscription's dispatcher. None if there is none.
    pub(crate) fn submit(
        &self,
        subscription: &str,
        command: Command,
        now: Instant,
    ) -> Option<Result<(), Hang>> {
        let mut state = self.lock();
        let state = &mut *state;
        let subscription = state.subscriptions.get_mut(subscription)?;
        let result = subscription.submit(command, &state.log, now);
        state.trim();
        Some(result)
    }

    pub(crate) fn attach(&self, subscription: &str, consumer: u64, session: Arc<Session>) -> bool {
        let mut state = self.lock();
        let state = &mut *state;
        let Some(subscription) = state.subscriptions.get_mut(subscription) else { return false };
        subscription.attach(consumer, session, &state.log)
    }

    pub(crate) fn detach(
        &self,
        subscription: &str,
        consumer: u64,
        session: &Arc<Session>,
        now: Instant,
    ) {
        let mut state = self.lock();
        let state = &mut *state;
        let Some(subscription) = state.subscriptions.get_mut(subscription) else { return };
        if subscription.detach(consumer, session) {
            subscription.submit_always(Command::Release { consumer }, &state.log, now);
        }
        state.trim();
    }

    /// Takes messages for a consumer's stream.
    pub(crate) fn take(
        &self,
        name: &str,
        consumer: u64,
        session: &Arc<Session>,
        now: Instant,
        mut out: impl FnMut(StreamMessage),
    ) -> Taken {
        let max = if self.config.oddities.unread_consumer_blocks { 1 } else { 32 };
        let mut state = self.lock();
        let state = &mut *state;
        let Some(subscription) = state.subscriptions.get_mut(name) else { return Taken::Ended };
        if !subscription.consumer(consumer).is_some_and(|known| known.is_session(session)) {
            return Taken::Ended;
        }
        subscription.take(consumer, max, &state.log, now, &mut |message| {
            out(StreamMessage::clone(message));
        });
        subscription.read(&state.log, now);
        Taken::Open
    }

    /// What time brings to the subscriptions. Returns the messages to publish as
    /// dead letters; [`Topic::resolve`] must follow when that is done.
    pub(crate) fn tick(&self, now: Instant) -> Vec<DeadLetter> {
        let mut state = self.lock();
        let state = &mut *state;
        let mut dead = Vec::new();
        for (name, subscription) in &mut state.subscriptions {
            if subscription.tick(now) {
                subscription.dispatch(&state.log);
            }
            let Poison::DeadLetter { topic } = &subscription.rules.failure.poison else { continue };
            for (offset, delivery) in subscription.exhausted() {
                let Some(message) = state.log.message(offset) else { continue };
                dead.push(DeadLetter::new(topic, name, offset, message, delivery));
            }
        }
        state.trim();
        dead
    }

    /// The dead letter of this message is published.
    pub(crate) fn resolve(&self, subscription: &str, offset: u64) {
        let mut state = self.lock();
        let state = &mut *state;
        if let Some(subscription) = state.subscriptions.get_mut(subscription) {
            subscription.finish(offset);
            subscription.dispatch(&state.log);
        }
        state.trim();
    }

    /// Ends all streams; the topic takes nothing more.
    pub(crate) fn close(&self) {
        let mut state = self.lock();
        state.deleted = true;
        for subscription in state.subscriptions.values_mut() {
            subscription.end_sessions();
        }
    }

    /// Where to wait while a subscription stands still.
    pub(crate) fn room(&self, subscription: &str) -> Option<Arc<Notify>> {
        self.lock().subscriptions.get(subscription).map(|known| known.stalling.room())
    }
}

impl State {
    /// Forgets the messages that no subscription needs any more.
    fn trim(&mut self) {
        let floor = self.subscriptions.values().map(Subscription::floor).min();
        self.log.trim(floor.unwrap_or_else(|| self.log.end()));
    }
}
