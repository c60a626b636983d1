//! A topic on disk, where there is a data directory.

use std::{
    collections::{BTreeMap, HashMap},
    io,
    sync::{Arc, Mutex},
    time::Duration,
};

use danube_core::proto::consumer_request::SubscriptionType;
use tokio::time::Instant;

use super::{Life, Policy, State, Topic};
use crate::{
    config::Config,
    error::StartError,
    log::Log,
    store::{SavedSubscription, SavedTopic, Segments, TopicDir},
    subscription::{Rules, Subscription},
};

/// How far cursors on disk may lag.
const SAVE_EVERY: Duration = Duration::from_secs(1);
/// The same with [`crate::Oddities::offsets_repeat`], for messages too.
const DELAYED_SAVE: Duration = Duration::from_secs(5);

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
        let delayed = self.config.oddities.offsets_repeat;
        let every = if delayed { DELAYED_SAVE } else { SAVE_EVERY };
        if self.dir.is_none() || !state.moved || now < state.saved_at + every {
            return;
        }
        if let Err(error) = state.log.flush().and_then(|()| self.keep(state)) {
            tracing::warn!(topic = %self.name, %error, "cannot write; trying again");
            state.moved = true;
        }
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
    let (segments, first, messages) = Segments::open(dir.path(), config.oddities.offsets_repeat)?;
    Ok(Log::restored(segments, first, messages))
}

fn restored_rules(config: &Config, kept: &SavedSubscription, policy: Option<&Policy>) -> Rules {
    let kind = SubscriptionType::try_from(kept.kind).unwrap_or_default();
    Rules::new(config, kind, policy)
}
