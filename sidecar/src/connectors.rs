//! The connectors of this sidecar by name: those of the file from the start, the
//! others from their first `open`.

use std::{
    collections::{BTreeSet, HashMap},
    hash::{BuildHasher as _, RandomState},
    sync::Arc,
    time::Duration,
};

use danube_sidecar_broker::{CallError, SchemaInfo};
use danube_sidecar_core::record::SchemaRef;
use danube_sidecar_store::{
    Checkpoints, InboxSettings, LetterSettings, Letters, Position, ReplayFrom, Store, StoreError,
};
use futures::FutureExt as _;
use tokio::{runtime::Handle, sync::Mutex};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::warn;

use crate::{
    config::{Config, Connector, DeadLetters},
    danube::Danube,
    intake::Buffers,
    refusal::Refusal,
    session::{Caller, SinkOpen, SourceOpen},
    sink::{self, Driver, Plan, Sink},
    source::{self, ReplaceError, Seat, Source},
    stranded::{Left, Why},
    vitals::{Part, Vitals},
};

/// The connectors of this sidecar.
pub struct Connectors {
    config: Config,
    parts: Parts,
    buffers: Buffers,
    sinks: Arc<Mutex<HashMap<String, Sink>>>,
    sources: Mutex<HashMap<String, Arc<Source>>>,
    /// What the data directory held at the start for names that nobody serves.
    left: Vec<Left>,
}

/// What connectors are made of.
#[derive(Clone)]
pub struct Parts {
    /// The Danube cluster.
    pub danube: Arc<dyn Danube>,
    /// What survives restarts.
    pub store: Store,
    /// Where the positions of sources are durable.
    pub checkpoints: Arc<dyn Checkpoints>,
    /// Ends all of them, with a drain.
    pub shutdown: CancellationToken,
    /// Owns their tasks.
    pub tasks: TaskTracker,
    /// Sees their panics.
    pub vitals: Vitals,
    /// Where the drivers of sinks run: on threads of their own. What a task wakes runs
    /// after it on its thread, and a driver has always woken somebody: frames would be
    /// encoded and sent only while no record is taken in hand.
    pub delivery: Handle,
}

impl Connectors {
    /// Starts the subscriptions that the file names.
    ///
    /// # Errors
    /// When the file asks for something that the sidecar refuses.
    pub async fn start(config: Config, parts: Parts, left: Vec<Left>) -> Result<Self, Refusal> {
        let draining = left.iter().filter(|left| left.why == Why::Draining);
        let draining: BTreeSet<String> = draining.map(|left| left.connector.clone()).collect();
        let connectors = Self {
            left,
            buffers: Buffers::new(config.sidecar.max_buffer_bytes),
            config,
            parts,
            sinks: Arc::default(),
            sources: Mutex::new(HashMap::new()),
        };
        let mut sinks = connectors.sinks.lock().await;
        for connector in connectors.config.connectors.values() {
            let drains = draining.contains(&connector.name);
            if connector.subscriptions.is_empty() || drains {
                continue;
            }
            let plan = Plan::of_file(connector.clone());
            plan.check(&connectors.config.policy)?;
            sinks.insert(connector.name.clone(), connectors.drive(plan, None));
        }
        for name in draining {
            let estate = connectors.estate(&name);
            // What follows it is checked before anything is delivered.
            let next = connectors.config.connectors.get(&name).cloned();
            let next = next.filter(|next| !next.subscriptions.is_empty()).map(Plan::of_file);
            next.iter().try_for_each(|next| next.check(&connectors.config.policy))?;
            sinks.insert(name, connectors.drain(estate, next));
        }
        drop(sinks);
        Ok(connectors)
    }

    /// The sink that a worker wants to join.
    ///
    /// # Errors
    /// The refusal to tell it.
    pub async fn sink(&self, open: &SinkOpen) -> Result<Sink, Refusal> {
        self.compare_brokers(&open.caller);
        let mut sinks = self.sinks.lock().await;
        if let Some(sink) = sinks.get(&open.caller.connector) {
            return Ok(sink.clone());
        }
        let connector = self.known(&open.caller)?;
        if self.parts.shutdown.is_cancelled() {
            return Err(Refusal::ShuttingDown);
        }
        let name = connector.name.clone();
        let plan = Plan::of_worker(connector, open)?;
        plan.check(&self.config.policy)?;
        let sink = self.drive(plan, Some(open));
        sinks.insert(name, sink.clone());
        Ok(sink)
    }

    /// Opens a source session.
    ///
    /// # Errors
    /// The refusal to tell the connector.
    pub async fn source(&self, open: SourceOpen) -> Result<Seat, Refusal> {
        let connector = self.known(&open.caller)?;
        self.compare_brokers(&open.caller);
        let source =
            {
                let mut sources = self.sources.lock().await;
                let name = connector.name.clone();
                Arc::clone(sources.entry(name).or_insert_with(|| {
                    Arc::new(Source::new(self.source_parts(&connector), connector))
                }))
            };
        source.open(open, &self.config.policy).await
    }

    /// The connector's own settings, as JSON.
    ///
    /// # Errors
    /// When the connector is not known.
    pub fn settings_json(&self, caller: &Caller, trusted: bool) -> Result<String, Refusal> {
        let settings = match self.known(caller) {
            Ok(known) => known.settings,
            Err(_) if self.drains(&caller.connector) => self.estate(&caller.connector).settings,
            Err(refusal) => return Err(refusal),
        };
        if settings.from_environment && !settings.json.is_empty() && !trusted {
            warn!(
                connector = caller.connector,
                "settings with ${{VAR}} are not sent over an open connection: use \
                 [sidecar] unix_socket, or set token_file"
            );
            return Ok("{}".to_owned());
        }
        Ok(serde_json::Value::Object(settings.json).to_string())
    }

    /// A schema of the registry.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn schema(&self, schema: SchemaRef) -> Result<SchemaInfo, CallError> {
        self.parts.danube.schema(schema).await
    }

    /// What an operator sees of the sinks.
    pub async fn sinks(&self) -> Vec<(String, sink::View)> {
        let sinks: Vec<(String, Sink)> = {
            let sinks = self.sinks.lock().await;
            sinks.iter().map(|(name, sink)| (name.clone(), sink.clone())).collect()
        };
        let mut views = Vec::with_capacity(sinks.len());
        for (name, sink) in sinks {
            if let Ok(Some(view)) = tokio::time::timeout(VIEW_TIMEOUT, sink.view()).await {
                views.push((name, view));
            }
        }
        views.sort_by(|(a, _), (b, _)| a.cmp(b));
        views
    }

    /// What an operator sees of the sources.
    pub async fn sources(&self) -> Vec<(String, source::View)> {
        let sources: Vec<(String, Arc<Source>)> = {
            let sources = self.sources.lock().await;
            sources.iter().map(|(name, source)| (name.clone(), Arc::clone(source))).collect()
        };
        let mut views = Vec::with_capacity(sources.len());
        for (name, source) in sources {
            if let Ok(view) = tokio::time::timeout(VIEW_TIMEOUT, source.view()).await {
                views.push((name, view));
            }
        }
        views.sort_by(|(a, _), (b, _)| a.cmp(b));
        views
    }

    /// Replaces where a source resumes; refused while its session is open.
    ///
    /// # Errors
    /// When it is refused, and when the store fails.
    pub async fn replace_positions(
        &self,
        connector: &str,
        positions: &[Position],
    ) -> Result<(), ReplaceError> {
        let source = self.sources.lock().await.get(connector).cloned();
        match source {
            Some(source) => source.replace_positions(positions).await,
            None => {
                let key = source::checkpoint_key(connector);
                Ok(self.parts.checkpoints.replace(&key, positions).await?)
            }
        }
    }

    /// Offers records of a sink's inbox again; none when no such sink runs.
    pub async fn replay(
        &self,
        connector: &str,
        from: ReplayFrom,
    ) -> Option<Result<u64, StoreError>> {
        let sink = self.sinks.lock().await.get(connector).cloned()?;
        sink.replay(from).await
    }

    /// A sink that runs: of this name, or the only one. Else the names of those that run.
    ///
    /// # Errors
    /// The names of those that run.
    pub async fn running_sink(&self, name: Option<&str>) -> Result<(String, Sink), Vec<String>> {
        let sinks = self.sinks.lock().await;
        let found = match name {
            Some(name) => sinks.get_key_value(name),
            None if sinks.len() == 1 => sinks.iter().next(),
            None => None,
        };
        let mut names: Vec<String> = sinks.keys().cloned().collect();
        names.sort();
        found.map(|(name, sink)| (name.clone(), sink.clone())).ok_or(names)
    }

    fn known(&self, caller: &Caller) -> Result<Connector, Refusal> {
        let name = &caller.connector;
        self.config.connector(name).ok_or_else(|| Refusal::UnknownConnector {
            name: name.clone(),
            known: self.config.connectors.keys().cloned().collect::<Vec<_>>().join(", "),
        })
    }

    /// The connector's own file may name another broker, from the time when it had
    /// a Danube client of its own.
    fn compare_brokers(&self, caller: &Caller) {
        let served = &self.config.danube.service_url;
        let Some(url) = &caller.danube_service_url else { return };
        let same = |url: &str| url.trim_end_matches('/').replace("localhost", "127.0.0.1");
        if same(url) != same(served) {
            warn!(
                connector = caller.connector,
                connectors_url = url,
                sidecars_url = served,
                "the connector's own danube_service_url is not this sidecar's broker: the \
                 sidecar's is used"
            );
        }
    }

    /// What is left in the data directory for names that nobody served at the start, as
    /// far as no such connector has come since.
    pub async fn left(&self) -> Vec<Left> {
        let (sinks, sources) = (self.sinks.lock().await, self.sources.lock().await);
        let served = |left: &&Left| {
            left.why == Why::Draining
                || !(sinks.contains_key(&left.connector) || sources.contains_key(&left.connector))
        };
        self.left.iter().filter(served).cloned().collect()
    }

    fn drains(&self, name: &str) -> bool {
        self.left.iter().any(|left| left.connector == name && left.why == Why::Draining)
    }

    /// Whoever takes what a name has left: with an inbox, whatever the file says.
    fn estate(&self, name: &str) -> Connector {
        let known = self.config.connectors.get(name).cloned();
        let mut connector = known
            .unwrap_or_else(|| Connector { name: name.to_owned(), ..self.config.defaults.clone() });
        connector.inbox.enabled = true;
        connector
    }

    fn drive(&self, plan: Plan, open: Option<&SinkOpen>) -> Sink {
        let (driving, sink) = self.driving(plan, open);
        self.parts.tasks.spawn_on(driving, &self.parts.delivery);
        sink
    }

    /// Delivers what a name has left; then `next` takes its place, where there is one.
    fn drain(&self, estate: Connector, next: Option<Plan>) -> Sink {
        let name = estate.name.clone();
        let (draining, sink) = self.driving(Plan::of_estate(estate), None);
        let next = next.map(|next| self.driving(next, None));
        let (sinks, stop) = (Arc::clone(&self.sinks), self.parts.shutdown.clone());
        let both = async move {
            draining.await;
            if stop.is_cancelled() {
                return;
            }
            let Some((driving, sink)) = next else {
                sinks.lock().await.remove(&name);
                return;
            };
            sinks.lock().await.insert(name, sink);
            driving.await;
        };
        self.parts.tasks.spawn_on(both, &self.parts.delivery);
        sink
    }

    /// A driver, and again another one for as long as it panics.
    fn driving(
        &self,
        plan: Plan,
        open: Option<&SinkOpen>,
    ) -> (impl Future<Output = ()> + Send + 'static, Sink) {
        let parts = self.sink_parts(&plan);
        let (first, sink) = Driver::prepare(parts.clone(), plan.clone(), open);
        let (sinks, open) = (Arc::clone(&self.sinks), open.cloned());
        let vitals = self.parts.vitals.clone();
        let driving = async move {
            let name = plan.connector.name.clone();
            let mut first = Some(first);
            let driver = || match first.take() {
                Some(first) => first.run().boxed(),
                None => {
                    let (next, sink) = Driver::prepare(parts.clone(), plan.clone(), open.as_ref());
                    let (sinks, name) = (Arc::clone(&sinks), name.clone());
                    async move {
                        // Workers of the one before hold its own, which is closed.
                        sinks.lock().await.insert(name, sink);
                        next.run().await;
                    }
                    .boxed()
                }
            };
            vitals.keep_alive(Part::Sink, &name, &parts.shutdown, driver).await;
        };
        (driving, sink)
    }

    fn sink_parts(&self, plan: &Plan) -> sink::Parts {
        sink::Parts {
            danube: Arc::clone(&self.parts.danube),
            store: self.parts.store.clone(),
            inbox: inbox_settings(&plan.connector),
            letters: self.letters(&plan.connector),
            create_topics: self.config.danube.create_topics,
            broker_window: self.config.danube.max_unacked_messages,
            buffer: Arc::new(self.buffers.share()),
            patience: (self.config.danube.ack_timeout / 2).clamp(PATIENCE.0, PATIENCE.1),
            shutdown: self.parts.shutdown.clone(),
            shutdown_timeout: self.config.sidecar.shutdown_timeout,
            // The hasher's random keys: jitter must differ between processes.
            seed: RandomState::new().hash_one(&plan.connector.name),
        }
    }

    /// The local copies of a connector's dead letters, where there is a disk.
    pub fn letters(&self, connector: &Connector) -> Option<Letters> {
        let DeadLetters { max_bytes, max_age, .. } = connector.dead_letters;
        let settings = LetterSettings { max_bytes, max_age };
        let durable = self.config.sidecar.data_dir.is_some();
        durable.then(|| self.parts.store.letters(&connector.name, settings))
    }

    fn source_parts(&self, connector: &Connector) -> source::Parts {
        source::Parts {
            letters: self.letters(connector),
            danube: Arc::clone(&self.parts.danube),
            checkpoints: Arc::clone(&self.parts.checkpoints),
            shutdown: self.parts.shutdown.clone(),
            shutdown_timeout: self.config.sidecar.shutdown_timeout,
            tasks: self.parts.tasks.clone(),
            vitals: self.parts.vitals.clone(),
        }
    }
}

/// Shortest and longest that subscriptions stay attached without a worker, in
/// pass-through.
const PATIENCE: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(5));

/// How long a busy sink may take to describe itself.
const VIEW_TIMEOUT: Duration = Duration::from_secs(1);

fn inbox_settings(connector: &Connector) -> Option<InboxSettings> {
    let inbox = &connector.inbox;
    let settings =
        InboxSettings { fsync: inbox.fsync, max_bytes: inbox.max_bytes, retain: inbox.retain };
    inbox.enabled.then_some(settings)
}
