//! What a driver is made of, and how it starts.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use danube_sidecar_core::{
    dispatch::{Dispatch, Settings, Suspicion},
    record::Fingerprint,
};
use danube_sidecar_store::{InboxSettings, Letters, Store, StoreError};
use futures::stream::FuturesUnordered;
use tokio::{sync::mpsc, time::sleep};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::Driver;
use crate::{
    clock::now,
    danube::Danube,
    dead_letter::DeadLetters,
    intake::{self, Intake, Share},
    metrics::SinkMetrics,
    session::SinkOpen,
    sink::{
        COMMANDS, Command, Plan, Sink,
        suspicions::{self, Suspicions},
    },
};

/// Before a store that failed is tried again.
const PAUSE: Duration = Duration::from_secs(1);

/// What a driver is made of.
#[derive(Clone)]
pub struct Parts {
    /// Where subscriptions and publishers come from.
    pub danube: Arc<dyn Danube>,
    /// What survives restarts.
    pub store: Store,
    /// The inbox; none: pass-through.
    pub inbox: Option<InboxSettings>,
    /// Local copies of dead letters; none where there is no disk.
    pub letters: Option<Letters>,
    /// Whether missing topics are created.
    pub create_topics: bool,
    /// Un-acked messages that the broker allows a subscription.
    pub broker_window: usize,
    /// What records may take in memory.
    pub buffer: Arc<Share>,
    /// How long subscriptions stay attached without a worker, in pass-through.
    pub patience: Duration,
    /// Ends the driver, with a drain.
    pub shutdown: CancellationToken,
    /// Upper bound of the drain.
    pub shutdown_timeout: Duration,
    /// Feeds jitter.
    pub seed: u64,
}

/// A driver that is to run.
pub struct Starting {
    parts: Parts,
    plan: Plan,
    rules: Settings,
    commands: mpsc::Receiver<Command>,
}

impl Driver {
    /// Prepares one. `open` is the first worker's proposal, where the sink exists
    /// because of it.
    pub fn prepare(parts: Parts, plan: Plan, open: Option<&SinkOpen>) -> (Starting, Sink) {
        let (sender, commands) = mpsc::channel(COMMANDS);
        let rules = plan.rules(open, parts.inbox.is_some());
        (Starting { parts, plan, rules, commands }, Sink { commands: sender })
    }
}

impl Starting {
    /// Starts the subscriptions, and runs until the shutdown and through its drain.
    pub async fn run(self) {
        let shutdown = self.parts.shutdown.clone();
        let driver = tokio::select! {
            driver = self.start() => driver,
            // Nothing has been taken in hand yet.
            () = shutdown.cancelled() => return,
        };
        driver.run().await;
    }

    async fn start(self) -> Driver {
        let (suspected, intake) = self.open().await;
        let Self { parts, plan, rules, commands } = self;
        let mut dispatch = Dispatch::new(rules, parts.seed);
        dispatch.recall(suspected);
        Driver {
            dispatch,
            suspicions: Suspicions::new(parts.store.clone(), plan.connector.name.clone()),
            intake,
            workers: BTreeMap::new(),
            alone_since: Some(now()),
            rooms: FuturesUnordered::new(),
            joining: FuturesUnordered::new(),
            seated: FuturesUnordered::new(),
            replays: FuturesUnordered::new(),
            dead_letters: DeadLetters::new(
                Arc::clone(&parts.danube),
                &plan.connector,
                parts.letters.clone(),
            ),
            commands,
            metrics: SinkMetrics::new(&plan.connector.name),
            failed: None,
            paused: None,
            probes: 0,
            deadline: None,
            closed_by: now(),
            parts,
            plan,
        }
    }

    /// What the store has of this sink. One that fails is asked until it does not.
    async fn open(&self) -> (Vec<(Fingerprint, Suspicion)>, Intake) {
        loop {
            match self.try_open().await {
                Ok(opened) => return opened,
                Err(error) => {
                    let connector = &self.plan.connector.name;
                    warn!(connector, %error, "cannot read the store; trying again");
                    sleep(PAUSE).await;
                }
            }
        }
    }

    async fn try_open(&self) -> Result<(Vec<(Fingerprint, Suspicion)>, Intake), StoreError> {
        let Parts { danube, store, inbox, create_topics, broker_window, buffer, .. } = &self.parts;
        let suspected = suspicions::recall(store, &self.plan.connector.name).await?;
        let intake = Intake::open(intake::Parts {
            connector: self.plan.connector.name.clone(),
            danube: Arc::clone(danube),
            store: store.clone(),
            inbox: *inbox,
            subscriptions: self.plan.subscriptions.clone(),
            create_topics: *create_topics,
            broker_window: *broker_window,
            buffer: Arc::clone(buffer),
        });
        Ok((suspected, intake.await?))
    }
}
