//! Sources: one session at a time for each connector name.

mod commits;
mod letters;
mod message;
mod news;
mod publishers;
mod session;

use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use danube_sidecar_store::{CheckpointError, Checkpoints, Letters, Position};
use tokio::sync::{Mutex, mpsc, watch};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::info;

pub use self::news::{News, Progress, Rejected, Told};
use self::{
    commits::{Commits, Target},
    news::{Outlet, Unread, news},
    publishers::Publishers,
    session::Session,
};
use crate::{
    config::{self, Connector, Policy},
    danube::Danube,
    refusal::Refusal,
    session::{FromSource, SourceOpen},
    vitals::{Part, Vitals},
};

/// How long the records of an ended session may take to be confirmed before the
/// next session starts without them.
const SETTLE: Duration = Duration::from_secs(10);

/// Frames from a source that may wait for its session.
const FRAMES: usize = 4;

/// One source connector.
pub struct Source {
    plan: Connector,
    parts: Parts,
    running: Mutex<Option<Running>>,
}

/// The session that may publish.
struct Running {
    supersede: CancellationToken,
    /// Becomes true when nothing of it is left.
    settled: watch::Receiver<bool>,
    worker_id: String,
    epoch: u64,
    progress: watch::Receiver<Progress>,
    unread: Unread,
    trouble: watch::Receiver<Option<String>>,
    unwell: watch::Receiver<Option<String>>,
    /// Gone with the session: an ended one holds no connection.
    publishers: Weak<Publishers>,
}

/// What an operator sees of a source.
#[derive(Clone, Debug, Default)]
pub struct View {
    /// Its session, where one is open.
    pub session: Option<SessionView>,
}

/// What an operator sees of a session.
#[derive(Clone, Debug)]
pub struct SessionView {
    /// The worker id in logs.
    pub worker_id: String,
    /// The session's epoch.
    pub epoch: u64,
    /// How far it is.
    pub progress: Progress,
    /// What keeps records from being published, if anything.
    pub publishing: Option<String>,
    /// What keeps positions from becoming durable, if anything.
    pub storing: Option<String>,
    /// What it was told and does not read, if anything.
    pub unread: Option<String>,
    /// What is wrong with the external system, in the connector's words, if anything.
    pub unwell: Option<String>,
}

/// Why the positions of a source were not replaced.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReplaceError {
    /// Its session would go on from where it is.
    #[error(
        "source `{connector}` has an open session ({worker_id}): stop that process first, then \
         change its positions"
    )]
    Open {
        /// The connector.
        connector: String,
        /// Who has the session.
        worker_id: String,
    },
    /// The checkpoint store.
    #[error(transparent)]
    Checkpoints(#[from] CheckpointError),
}

/// A source's place.
pub struct Seat {
    /// The worker id in logs.
    pub worker_id: String,
    /// The session's epoch.
    pub epoch: u64,
    /// The producers in force.
    pub producers: Vec<config::Producer>,
    /// Where to resume.
    pub positions: Vec<Position>,
    /// Takes its frames. Dropping it ends the session.
    pub said: mpsc::Sender<FromSource>,
    /// What it is told.
    pub news: News,
}

/// What a source is made of.
#[derive(Clone)]
pub struct Parts {
    /// The Danube cluster.
    pub danube: Arc<dyn Danube>,
    /// Where positions and epochs are durable.
    pub checkpoints: Arc<dyn Checkpoints>,
    /// Local copies of its dead letters; none without a data directory.
    pub letters: Option<Letters>,
    /// Ends all sessions, with a drain.
    pub shutdown: CancellationToken,
    /// Upper bound of the drain.
    pub shutdown_timeout: Duration,
    /// Owns the sessions.
    pub tasks: TaskTracker,
    /// Sees their panics.
    pub vitals: Vitals,
}

impl Source {
    /// A source without a session.
    pub fn new(parts: Parts, plan: Connector) -> Self {
        Self { plan, parts, running: Mutex::new(None) }
    }

    /// Starts a session: the one before it is ended, settled, and fenced off.
    ///
    /// # Errors
    /// The refusal to tell the connector.
    pub async fn open(&self, open: SourceOpen, policy: &Policy) -> Result<Seat, Refusal> {
        let producers = self.producers(&open, policy)?;
        let mut running = self.running.lock().await;
        if self.parts.shutdown.is_cancelled() {
            return Err(Refusal::ShuttingDown);
        }
        // It stays until it is replaced: the connector may go away meanwhile, and then the
        // next one waits for it.
        if let Some(before) = running.as_mut() {
            before.end().await;
        }
        // From here on the session before cannot move a position, settled or not.
        let key = checkpoint_key(&self.plan.name);
        let epoch = self.parts.checkpoints.next_epoch(&key).await?;
        let positions = self.parts.checkpoints.checkpoint(&key).await?.positions;
        let worker_id = open.caller.worker_id.clone().unwrap_or_else(|| format!("session-{epoch}"));
        info!(
            connector = self.plan.name,
            worker = worker_id,
            epoch,
            sdk = open.caller.sdk,
            "source opened"
        );

        let (said, frames) = mpsc::channel(FRAMES);
        let (outlet, news) = news();
        let (progress, unread) = (outlet.progress.subscribe(), outlet.unread());
        let (unwell, unwell_out) = watch::channel(None);
        let (settled, settled_out) = watch::channel(false);
        let (trouble, trouble_out) = watch::channel(None);
        let supersede = CancellationToken::new();
        let commits = Commits::new(Target {
            checkpoints: Arc::clone(&self.parts.checkpoints),
            key: key.into(),
            connector: self.plan.name.as_str().into(),
            epoch,
            trouble,
        });
        let publishers = Arc::new(Publishers::new(&self.parts.danube, &self.plan, &producers));
        let publishing = Arc::downgrade(&publishers);
        let session = Session::new(session::Parts {
            commits,
            publishers,
            connector: self.plan.clone(),
            epoch,
            capabilities: open.caller.capabilities,
            worker: worker_id.clone(),
            source: self.parts.clone(),
            frames,
            supersede: supersede.clone(),
            outlet,
            unwell,
            settled,
        });
        let (vitals, name) = (self.parts.vitals.clone(), self.plan.name.clone());
        // The connector dials again, and its next session begins at what is durable.
        self.parts.tasks.spawn(async move {
            vitals.watch(Part::Source, &name, session.run()).await;
        });
        *running = Some(Running {
            supersede,
            settled: settled_out,
            worker_id: worker_id.clone(),
            epoch,
            progress,
            unread,
            trouble: trouble_out,
            unwell: unwell_out,
            publishers: publishing,
        });
        Ok(Seat { worker_id, epoch, producers, positions, said, news })
    }

    /// What an operator sees.
    pub async fn view(&self) -> View {
        let running = self.running.lock().await;
        View { session: running.as_ref().filter(|session| session.open()).map(Running::view) }
    }

    /// Replaces where the source resumes; none: it starts afresh.
    ///
    /// # Errors
    /// While its session is open, and when the store fails.
    pub async fn replace_positions(&self, positions: &[Position]) -> Result<(), ReplaceError> {
        // Held until the end, so that no session opens meanwhile.
        let running = self.running.lock().await;
        if let Some(session) = running.as_ref().filter(|session| session.open()) {
            let (connector, worker_id) = (self.plan.name.clone(), session.worker_id.clone());
            return Err(ReplaceError::Open { connector, worker_id });
        }
        let key = checkpoint_key(&self.plan.name);
        Ok(self.parts.checkpoints.replace(&key, positions).await?)
    }

    /// File over proposal, checked.
    fn producers(
        &self,
        open: &SourceOpen,
        policy: &Policy,
    ) -> Result<Vec<config::Producer>, Refusal> {
        let file = &self.plan.producers;
        let producers = if file.is_empty() { &open.producers } else { file };
        if producers.is_empty() {
            let connector = self.plan.name.clone();
            return Err(Refusal::NothingToDo { connector, what: "producers" });
        }
        if let Some(outside) = producers.iter().find(|p| !policy.allows(p.topic.as_str())) {
            return Err(Refusal::ForbiddenTopic { topic: outside.topic.clone() });
        }
        Ok(producers.clone())
    }
}

/// The name under which a source's positions are kept.
pub fn checkpoint_key(connector: &str) -> String {
    format!("source/{connector}")
}

impl Running {
    /// Whether something of it is left. One whose task panicked never said so.
    fn open(&self) -> bool {
        !*self.settled.borrow() && self.settled.has_changed().is_ok()
    }

    fn view(&self) -> SessionView {
        let publishing = self.publishers.upgrade().and_then(|publishers| publishers.trouble());
        SessionView {
            worker_id: self.worker_id.clone(),
            epoch: self.epoch,
            progress: *self.progress.borrow(),
            publishing,
            storing: self.trouble.borrow().clone(),
            unread: self.unread.trouble(),
            unwell: self.unwell.borrow().clone(),
        }
    }

    /// Ends the session and waits, within bounds, until its records are settled.
    async fn end(&mut self) {
        self.supersede.cancel();
        // A session that does not settle in time is fenced by its epoch anyway.
        let _ = tokio::time::timeout(SETTLE, self.settled.wait_for(|settled| *settled)).await;
    }
}
