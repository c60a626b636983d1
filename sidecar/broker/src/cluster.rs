//! Connections to a cluster: dialing, redialing, health.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use danube_client::DanubeClient;
use tokio::{
    runtime::Handle,
    sync::{Mutex, Semaphore, SemaphorePermit, watch},
    task::JoinHandle,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tonic::{Request, Response, Status, transport::Uri};

use crate::{
    config::ClusterConfig,
    error::{CallError, Cause, ClusterError},
    probe,
    token::TokenFile,
};

/// A Danube cluster. Cheap to clone; all clones share their connections.
#[derive(Clone, Debug)]
pub struct Cluster {
    inner: Arc<Inner>,
}

/// Whether a broker answers at the service url.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BrokerHealth {
    /// Not known yet.
    Connecting,
    /// It answers.
    Up,
    /// It does not answer; tried again all the time.
    Down {
        /// What was tried and how it failed.
        detail: String,
    },
}

#[derive(Debug)]
struct Inner {
    config: ClusterConfig,
    uri: Uri,
    token: Option<Arc<TokenFile>>,
    /// The connections, each to all brokers: more than one where many streams stay open.
    dialed: Mutex<Vec<Dialed>>,
    dials: AtomicU64,
    turns: Semaphore,
    requests: AtomicU64,
    health: watch::Receiver<BrokerHealth>,
    tasks: TaskTracker,
    /// Where they run, whoever starts one.
    runtime: Handle,
    stop: CancellationToken,
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// Users of one connection at most, where there is a choice. A server on tonic or hyper
/// serves 200 streams of a connection at a time, by default; one that stays open for each
/// partition must leave room for calls.
const USERS: usize = 100;

/// Lookups and attaches at a time. A thousand partitions that begin together would need
/// their memory together, and all at the broker's door.
const AT_ONCE: usize = 32;
/// Those before may wait for a broker that hangs: nobody waits longer for a turn.
const LONGEST_TURN: Duration = Duration::from_secs(1);

/// A client with its pool of channels, one for each broker. Replaced as a whole when a
/// channel hangs, because the pool has no other way to let go of one.
#[derive(Clone, Debug)]
pub(crate) struct Dialed {
    pub(crate) client: DanubeClient,
    generation: u64,
    /// One more than its users.
    users: Arc<()>,
}

impl Cluster {
    /// Prepares for `config` without connecting yet, and starts the background
    /// probe behind [`Cluster::health`]. Must be called within a Tokio runtime.
    ///
    /// # Errors
    /// When the configuration can never work: a malformed url, an unreadable file.
    pub fn new(config: ClusterConfig) -> Result<Self, ClusterError> {
        let uri = parse_url(&config.service_url)?;
        if let Some(admin_url) = &config.admin_url {
            parse_url(admin_url)?;
        }
        check_files(&config)?;
        let token = config.token_file.clone().map(|path| Arc::new(TokenFile::new(path)));
        let (report, health) = watch::channel(BrokerHealth::Connecting);
        let cluster = Self {
            inner: Arc::new(Inner {
                config,
                uri,
                token,
                dialed: Mutex::new(Vec::new()),
                dials: AtomicU64::new(0),
                turns: Semaphore::new(AT_ONCE),
                requests: AtomicU64::new(0),
                health,
                tasks: TaskTracker::new(),
                runtime: Handle::current(),
                stop: CancellationToken::new(),
            }),
        };
        let probing = probe::run(cluster.downgrade(), cluster.inner.stop.clone(), report);
        cluster.inner.tasks.spawn(probing);
        Ok(cluster)
    }

    /// Whether a broker answers, as the background probe sees it.
    pub fn health(&self) -> watch::Receiver<BrokerHealth> {
        self.inner.health.clone()
    }

    /// Stops the background work of this cluster and waits for its end.
    /// Subscriptions must be closed before; their tasks are waited for too.
    pub async fn shutdown(self) {
        self.inner.stop.cancel();
        self.inner.tasks.close();
        self.inner.tasks.wait().await;
    }

    pub(crate) fn config(&self) -> &ClusterConfig {
        &self.inner.config
    }

    pub(crate) fn tasks(&self) -> &TaskTracker {
        &self.inner.tasks
    }

    /// Runs a task of the cluster's own.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) -> JoinHandle<()> {
        self.inner.tasks.spawn_on(task, &self.inner.runtime)
    }

    /// Cancelled when the cluster shuts down.
    pub(crate) fn stop(&self) -> &CancellationToken {
        &self.inner.stop
    }

    pub(crate) fn service_uri(&self) -> &Uri {
        &self.inner.uri
    }

    pub(crate) fn token(&self) -> Option<String> {
        self.inner.token.as_ref().map(|token| token.current())
    }

    /// Waits for `pause`, or until the broker is back: whoever comes late finds that
    /// messages were passed over, where the broker lost the subscription's cursor.
    pub(crate) async fn pause(&self, pause: Duration) {
        let mut health = self.health();
        health.mark_unchanged();
        let back = async {
            while health.changed().await.is_ok() {
                if *health.borrow_and_update() == BrokerHealth::Up {
                    return;
                }
            }
            std::future::pending().await
        };
        tokio::select! {
            () = back => {}
            () = tokio::time::sleep(pause) => {}
        }
    }

    /// Waits until few others look up and attach, for a moment at most. The turn lasts as
    /// long as one keeps what is returned.
    pub(crate) async fn turn(&self) -> Option<SemaphorePermit<'_>> {
        let turn = tokio::time::timeout(LONGEST_TURN, self.inner.turns.acquire());
        turn.await.ok()?.ok()
    }

    /// A number for the next request; only for the broker's logs.
    pub(crate) fn request_id(&self) -> u64 {
        self.inner.requests.fetch_add(1, Ordering::Relaxed)
    }

    /// A connection that has room for another user; one is a user as long as it keeps what
    /// is returned.
    pub(crate) async fn dialed(&self) -> Result<Dialed, CallError> {
        let mut dialed = self.inner.dialed.lock().await;
        let has_room = |dialed: &&Dialed| Arc::strong_count(&dialed.users) <= USERS;
        if let Some(dialed) = dialed.iter().find(has_room) {
            return Ok(dialed.clone());
        }
        let client = self.dial().await.map_err(|error| CallError::new("connecting", error))?;
        let generation = self.inner.dials.fetch_add(1, Ordering::Relaxed);
        let new = Dialed { client, generation, users: Arc::default() };
        dialed.push(new.clone());
        Ok(new)
    }

    /// Lets go of the connections of `stale`, unless somebody has done so already.
    pub(crate) async fn redial(&self, stale: &Dialed) {
        let mut dialed = self.inner.dialed.lock().await;
        let before = dialed.len();
        dialed.retain(|dialed| dialed.generation != stale.generation);
        if dialed.len() < before {
            tracing::warn!(service_url = %self.inner.uri, "a connection hangs: connecting anew");
        }
    }

    /// Redials when `error` puts the connections in doubt.
    pub(crate) async fn note_failure(&self, dialed: &Dialed, error: &CallError) {
        if error.hangs() {
            self.redial(dialed).await;
        }
    }

    /// `message` with the token.
    pub(crate) async fn request<T>(
        &self,
        dialed: &Dialed,
        call: &'static str,
        message: T,
        uri: &Uri,
    ) -> Result<Request<T>, CallError> {
        let mut request = Request::new(message);
        let auth = dialed.client.auth_service();
        auth.insert_token_if_needed(self.token(), &mut request, uri)
            .await
            .map_err(|error| CallError::new(call, error))?;
        Ok(request)
    }

    async fn dial(&self) -> Result<DanubeClient, danube_client::errors::DanubeError> {
        let config = &self.inner.config;
        let mut builder = DanubeClient::builder().service_url(&config.service_url);
        if let Some(tls) = &config.tls {
            builder = match &tls.client {
                Some(client) => builder.with_mtls(&tls.ca, &client.certificate, &client.key)?,
                None => builder.with_tls(&tls.ca)?,
            };
        }
        if let Some(token) = &self.inner.token {
            let token = Arc::clone(token);
            builder = builder.with_token_supplier(move || token.current());
        }
        builder.build().await
    }

    fn downgrade(&self) -> WeakCluster {
        WeakCluster(Arc::downgrade(&self.inner))
    }
}

/// A cluster that may be gone.
pub(crate) struct WeakCluster(std::sync::Weak<Inner>);

impl WeakCluster {
    pub(crate) fn upgrade(&self) -> Option<Cluster> {
        self.0.upgrade().map(|inner| Cluster { inner })
    }
}

/// Waits for the answer to `call`, at most `limit`.
pub(crate) async fn within<T>(
    call: &'static str,
    limit: Duration,
    answer: impl Future<Output = Result<Response<T>, Status>>,
) -> Result<T, CallError> {
    match tokio::time::timeout(limit, answer).await {
        Ok(Ok(response)) => Ok(response.into_inner()),
        Ok(Err(status)) => Err(CallError::new(call, status)),
        Err(_) => Err(CallError::new(call, Cause::Timeout(limit))),
    }
}

fn parse_url(url: &str) -> Result<Uri, ClusterError> {
    let bad = || ClusterError::Url { url: url.to_owned() };
    let uri: Uri = url.parse().map_err(|_| bad())?;
    match (uri.scheme_str(), uri.host()) {
        (Some("http" | "https"), Some(host)) if !host.is_empty() => Ok(uri),
        _ => Err(bad()),
    }
}

fn check_files(config: &ClusterConfig) -> Result<(), ClusterError> {
    let mut files = Vec::new();
    if let Some(tls) = &config.tls {
        files.push(&tls.ca);
        if let Some(client) = &tls.client {
            files.extend([&client.certificate, &client.key]);
        }
    }
    if let Some(token) = &config.token_file {
        if !config.service_url.starts_with("https") {
            return Err(ClusterError::TokenInTheClear { url: config.service_url.clone() });
        }
        files.push(token);
    }
    for path in files {
        std::fs::read(path).map_err(|source| ClusterError::File { path: path.clone(), source })?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn nobody_waits_for_a_turn_longer_than_a_moment() {
        let service_url = "http://127.0.0.1:1".to_owned();
        let config = ClusterConfig { service_url, ..ClusterConfig::default() };
        let cluster = Cluster::new(config).expect("the url is one");
        let mut turns = Vec::new();
        for _ in 0..AT_ONCE {
            turns.push(cluster.turn().await.expect("there is one"));
        }
        let began = tokio::time::Instant::now();
        assert!(cluster.turn().await.is_none());
        assert_eq!(began.elapsed().as_secs(), LONGEST_TURN.as_secs());
        turns.pop();
        assert!(cluster.turn().await.is_some());
    }
}
