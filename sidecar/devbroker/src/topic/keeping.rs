//! A topic on disk, where there is a data directory.

use std::{
    collections::{BTreeMap, HashMap},
    io,
    sync::{Arc, Mutex},
    time::Duration,
};

use danube_core::proto::{StreamMessage, consumer_request::SubscriptionType};
use tokio::time::Instant;

use super::{Life, Policy, State, Topic};
use crate::{
    audit::{Audited, AuditedMessage},
    config::Config,
    error::StartError,
    log::Log,
    store::{SavedSubscription, SavedTopic, Segments, TopicDir, Writing},
    subscription::{Rules, Subscription},
};

/// How far cursors on disk may lag.
const SAVE_EVERY: Duration = Duration::from_secs(1);
/// The same with [`crate::Oddities::cursor_lags`].
const LAGGING_SAVE: Duration = Duration::from_secs(10);
/// How far messages on disk lag with [`crate::Oddities::forgets_confirmed`].
const DELAYED_FLUSH: Duration = Duration::from_secs(5);

impl Topic {
    /// A new topic, in a directory if it is to be kept.
    pub(crate) fn create(
        name: &str,
        reliable: bool,
        config: Arc<Config>,
        dir: Option<TopicDir>,
    ) -> Result<Self, StartError> {
        let mut log = Log::default();
        if let Some(dir) = &dir {
            let path = dir.path().to_owned();
            dir.create().map_err(|source| StartError::DataDir { path, source })?;
            log = open_log(dir, &config)?;
        }
        let topic = Self::with(name, reliable, config, dir, State::new(log));
        let kept = topic.keep(&mut topic.lock());
        kept.map_err(|source| StartError::DataDir { path: topic.path(), source })?;
        Ok(topic)
    }

    /// A topic from its directory.
    pub(crate) fn restore(
        name: &str,
        config: Arc<Config>,
        dir: TopicDir,
    ) -> Result<Option<Self>, StartError> {
        let Some(saved) = dir.load()? else { return Ok(None) };
        let mut state = State::new(open_log(&dir, &config)?);
        state.schema = saved.schema;
        state.policies = saved.policies;
        for (subscription, kept) in saved.subscriptions {
            let rules = restored_rules(&config, &kept, state.policies.get(&subscription));
            // What is gone from the log was acked by all; what is not there yet
            // was lost with its acks.
            let cursor = kept.cursor.clamp(state.log.first(), state.log.end());
            let mut restored = Subscription::new(rules, cursor);
            restored.live = false;
            state.subscriptions.insert(subscription, restored);
        }
        state.trim();
        Ok(Some(Self::with(name, saved.reliable, config, Some(dir), state)))
    }

    fn with(
        name: &str,
        reliable: bool,
        config: Arc<Config>,
        dir: Option<TopicDir>,
        state: State,
    ) -> Self {
        Self { name: name.into(), reliable, config, dir, state: Mutex::new(state) }
    }

    fn path(&self) -> std::path::PathBuf {
        self.dir.as_ref().map(|dir| dir.path().to_owned()).unwrap_or_default()
    }

    /// Writes settings, subscriptions and cursors.
    pub(super) fn keep(&self, state: &mut State) -> io::Result<()> {
        state.moved = false;
        state.saved_at = Instant::now();
        let Some(dir) = self.dir.as_ref().filter(|_| state.life != Life::Deleted) else {
            return Ok(());
        };
        dir.save(&SavedTopic {
            reliable: self.reliable,
            schema: state.schema.clone(),
            subscriptions: state.cursors(),
            policies: state.policies.clone(),
        })
    }

    /// Brings the disk up to date if it is time.
    pub(super) fn keep_up(&self, state: &mut State, now: Instant) {
        if self.dir.is_none() {
            return;
        }
        let mut written = Ok(());
        if now >= state.flushed_at + DELAYED_FLUSH {
            state.flushed_at = now;
            written = state.log.flush();
        }
        let lags = self.config.oddities.cursor_lags;
        let every = if lags { LAGGING_SAVE } else { SAVE_EVERY };
        if state.moved && now >= state.saved_at + every {
            written = written.and_then(|()| self.keep(state));
        }
        if let Err(error) = written {
            tracing::warn!(topic = %self.name, %error, "cannot write; trying again");
            state.moved = true;
        }
    }

    /// Notes what is about to be confirmed.
    pub(super) fn audit_publish(&self, message: &StreamMessage, offset: u64) -> io::Result<()> {
        let Some(audit) = self.dir.as_ref().and_then(TopicDir::audit) else { return Ok(()) };
        audit.write(&Audited::Published(AuditedMessage::new(&self.name, offset, message)))
    }

    /// Notes what subscriptions have passed over, then forgets what nobody needs.
    pub(super) fn settle(&self, state: &mut State) {
        let audit = self.dir.as_ref().and_then(TopicDir::audit);
        for (name, subscription) in &mut state.subscriptions {
            for offset in subscription.skipped.drain(..).flatten() {
                let Some((audit, message)) = audit.zip(state.log.message(offset)) else { continue };
                let message = AuditedMessage::new(&self.name, offset, message);
                let line = Audited::Skipped { subscription: name.clone(), message };
                if let Err(error) = audit.write(&line) {
                    tracing::error!(topic = %self.name, offset, %error, "the audit lacks a line");
                }
            }
        }
        state.trim();
    }

    /// Writes what is not written, at a clean stop.
    pub(crate) fn save(&self) {
        let mut state = self.lock();
        if let Err(error) = state.log.flush().and_then(|()| self.keep(&mut state)) {
            tracing::warn!(topic = %self.name, %error, "cannot write; some acks are forgotten");
        }
    }
}

impl State {
    fn new(log: Log) -> Self {
        Self {
            log,
            subscriptions: BTreeMap::new(),
            policies: HashMap::new(),
            producers: HashMap::new(),
            schema: None,
            life: Life::Open,
            saved_at: Instant::now(),
            flushed_at: Instant::now(),
            moved: false,
        }
    }

    fn cursors(&self) -> BTreeMap<String, SavedSubscription> {
        let saved = |subscription: &Subscription| SavedSubscription {
            kind: subscription.rules.kind.into(),
            cursor: subscription.floor(),
        };
        self.subscriptions.iter().map(|(name, known)| (name.clone(), saved(known))).collect()
    }
}

fn open_log(dir: &TopicDir, config: &Config) -> Result<Log, StartError> {
    let writing = Writing { delayed: config.oddities.forgets_confirmed, keep: config.audit };
    let (segments, first, messages) = Segments::open(dir.path(), writing)?;
    Ok(Log::restored(segments, first, messages))
}

fn restored_rules(config: &Config, kept: &SavedSubscription, policy: Option<&Policy>) -> Rules {
    let kind = SubscriptionType::try_from(kept.kind).unwrap_or_default();
    Rules::new(config, kind, policy)
}
