//! A topic: its messages, its subscriptions, and the one lock around them.

mod keeping;
mod settings;

use std::{
    collections::{BTreeMap, HashMap},
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use danube_core::proto::{StreamMessage, consumer_request::SubscriptionType};
use tokio::time::Instant;

pub(crate) use settings::{Policy, SchemaBinding, SchemaConflict, Validation};

use crate::{
    config::{Config, Poison},
    consumer::Session,
    dead_letter::DeadLetter,
    log::Log,
    stall::{Command, Hang},
    store::TopicDir,
    subscription::{Held, Joined, Rules, Subscription},
};

/// A topic, partitioned topics being several.
#[derive(Debug)]
pub(crate) struct Topic {
    pub(crate) name: Arc<str>,
    pub(crate) reliable: bool,
    config: Arc<Config>,
    dir: Option<TopicDir>,
    state: Mutex<State>,
}

/// What the lock guards. Every critical section is short and does not await.
#[derive(Debug)]
pub(crate) struct State {
    log: Log,
    subscriptions: BTreeMap<String, Subscription>,
    policies: HashMap<String, Policy>,
    producers: HashMap<String, u64>,
    schema: Option<SchemaBinding>,
    life: Life,
    /// When the cursors on disk were last brought up to date; they moved since.
    saved_at: Instant,
    moved: bool,
    /// When the messages were last flushed, where they wait for that.
    flushed_at: Instant,
}

/// Whether a topic takes messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Life {
    Open,
    Stopping,
    Deleted,
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
    #[error("the broker stops: try again")]
    Stopping,
    #[error("topic {topic} takes only messages of schema {subject}: register and use that one")]
    Schema { topic: Arc<str>, subject: String },
    #[error("the message cannot be written, make room on the disk: {0}")]
    Storage(#[from] io::Error),
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
    #[error("the subscription cannot be written, make room on the disk: {0}")]
    Storage(#[from] io::Error),
}

/// What a stream finds when it looks for messages.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Taken {
    Open,
    Ended,
}

impl Topic {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Stores a message (or passes it on, if the topic is not reliable). Returns
    /// the subscriptions that have yet to be woken because they stand still.
    pub(crate) fn publish(
        &self,
        message: StreamMessage,
        now: Instant,
    ) -> Result<Vec<String>, PublishError> {
        let mut state = self.lock();
        let state = &mut *state;
        self.check_open(state)?;
        self.check_schema(state, &message)?;
        if !self.reliable {
            let message = Arc::new(message);
            for subscription in state.subscriptions.values_mut() {
                subscription.push(&message);
            }
            return Ok(Vec::new());
        }
        self.check_room(state)?;
        self.audit_publish(&message, state.log.end())?;
        state.log.append(message)?;
        let mut hanging = Vec::new();
        let offset = state.log.end() - 1;
        for (name, subscription) in &mut state.subscriptions {
            if subscription.is_overtaken(offset) {
                continue;
            }
            subscription.published(&state.log, now);
            if subscription.submit(Command::Wake, &state.log, now).is_err() {
                hanging.push(name.clone());
            }
        }
        self.settle(state);
        Ok(hanging)
    }

    fn check_open(&self, state: &State) -> Result<(), PublishError> {
        match state.life {
            Life::Open => Ok(()),
            Life::Stopping => Err(PublishError::Stopping),
            Life::Deleted => Err(PublishError::Deleted(Arc::clone(&self.name))),
        }
    }

    fn check_schema(&self, state: &State, message: &StreamMessage) -> Result<(), PublishError> {
        let Some(schema) = state.schema.as_ref().filter(|schema| schema.refuses(message)) else {
            return Ok(());
        };
        let (topic, subject) = (Arc::clone(&self.name), schema.subject.clone());
        if schema.validation == Validation::Enforce {
            return Err(PublishError::Schema { topic, subject });
        }
        tracing::warn!(%topic, subject, "a message without the topic's schema");
        Ok(())
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
            let rules = Rules::new(&self.config, kind, state.policies.get(name));
            if matches!(&rules.failure.poison, Poison::DeadLetter { topic } if topic.trim().is_empty())
            {
                return Err(SubscribeError::NoDeadLetterTopic);
            }
            let subscription = Subscription::new(rules, state.log.end());
            state.subscriptions.insert(name.to_owned(), subscription);
            self.keep(state)?;
        }
        let Some(subscription) = state.subscriptions.get_mut(name) else {
            return Err(SubscribeError::Held(consumer.to_owned()));
        };
        subscription
            .join(new_id, consumer, filters, now)
            .map_err(|Held| SubscribeError::Held(consumer.to_owned()))
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
        self.settle(state);
        Some(result)
    }

    pub(crate) fn attach(&self, subscription: &str, consumer: u64, session: Arc<Session>) -> bool {
        let mut state = self.lock();
        let state = &mut *state;
        let Some(subscription) = state.subscriptions.get_mut(subscription) else { return false };
        let known = subscription.attach(consumer, session, &state.log);
        self.settle(state);
        known
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
        self.settle(state);
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
        self.settle(state);
        Taken::Open
    }

    /// What time brings to the subscriptions. Returns the messages to publish as
    /// dead letters; [`Topic::resolve`] must follow when that is done.
    pub(crate) fn tick(&self, now: Instant) -> Vec<DeadLetter> {
        let mut state = self.lock();
        let state = &mut *state;
        let mut dead = Vec::new();
        for (name, subscription) in &mut state.subscriptions {
            if subscription.tick(now) || subscription.rules.oddities.live_channel_reorders {
                subscription.dispatch(&state.log);
            }
            let Poison::DeadLetter { topic } = &subscription.rules.failure.poison else { continue };
            for (offset, delivery) in subscription.exhausted() {
                let Some(message) = state.log.message(offset) else { continue };
                dead.push(DeadLetter::new(topic, name, offset, message, delivery));
            }
        }
        self.settle(state);
        self.keep_up(state, now);
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
        self.settle(state);
    }

    /// The broker stops: ends all streams, takes nothing more.
    pub(crate) fn stop(&self) {
        self.end(Life::Stopping);
    }

    /// The topic goes away: ends all streams, takes nothing more.
    pub(crate) fn delete(&self) -> io::Result<()> {
        self.end(Life::Deleted);
        self.dir.as_ref().map_or(Ok(()), TopicDir::remove)
    }

    fn end(&self, life: Life) {
        let mut state = self.lock();
        state.life = life;
        for subscription in state.subscriptions.values_mut() {
            subscription.end_sessions();
        }
    }

    /// The id of a producer: the same for the same name.
    pub(crate) fn producer_id(&self, name: &str, new_id: u64) -> u64 {
        *self.lock().producers.entry(name.to_owned()).or_insert(new_id)
    }

    pub(crate) fn is_consumer_open(&self, subscription: &str, id: u64) -> bool {
        let state = self.lock();
        let consumer = state.subscriptions.get(subscription).and_then(|known| known.consumer(id));
        consumer.is_some_and(|consumer| consumer.open)
    }
}

impl State {
    /// Forgets the messages that no subscription needs any more.
    fn trim(&mut self) {
        self.moved = true;
        let floor = self.subscriptions.values().map(Subscription::floor).min();
        self.log.trim(floor.unwrap_or_else(|| self.log.end()));
    }
}
