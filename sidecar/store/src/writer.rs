//! Who runs the operations: one thread for a database on disk, the caller itself
//! in memory.
//!
//! The thread takes everything that waits into one commit: the cost of a commit is
//! shared by all who ask during the previous one.

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        mpsc::{self, RecvTimeoutError},
    },
    thread::JoinHandle,
    time::Duration,
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot, watch};

use crate::{
    StoreError,
    backend::{Durability, Failure, Open, engine::OpenEngine, in_memory_path, memory::OpenMemory},
    clock::Clock,
    commit::{Committer, Kind, Operation, Refusal, Session},
    faults::{Call, Faults, Moment},
    panics::caught,
};

/// Most operations in one commit, and most that wait; beyond it callers wait.
const QUEUE: usize = 1024;
/// Most bytes that wait, in units of [`UNIT`].
const QUEUE_UNITS: usize = 64 << 10;
const UNIT: usize = 1 << 10;

/// Handle of the thread. Dropping it finishes what is queued and closes the
/// database.
pub(crate) struct Writer {
    path: PathBuf,
    clock: Clock,
    runner: Runner,
}

enum Runner {
    Inline {
        committer: Mutex<Box<Committer>>,
        faults: Option<Arc<dyn Faults>>,
    },
    Thread {
        // `None` only while dropping: the closed queue is what ends the thread.
        queue: Option<mpsc::Sender<Queued>>,
        places: Arc<Semaphore>,
        bytes: Arc<Semaphore>,
        thread: Option<JoinHandle<()>>,
        /// Closed when the thread is no more.
        running: watch::Receiver<()>,
    },
}

/// An operation with its share of the queue, which it gives back when answered.
struct Queued {
    operation: Box<dyn Operation>,
    share: [Option<OwnedSemaphorePermit>; 2],
}

impl Writer {
    pub(crate) fn open(data_dir: &Path, clock: Clock) -> Result<Self, StoreError> {
        let opener = OpenEngine::new(data_dir)?;
        Self::start(opener.path(), Box::new(opener), clock)
    }

    pub(crate) fn in_memory(
        clock: Clock,
        faults: Option<Arc<dyn Faults>>,
    ) -> Result<Self, StoreError> {
        let path = in_memory_path();
        let committer = Committer::open(path.clone(), Box::new(OpenMemory), clock.clone())?;
        Ok(Self {
            path,
            clock,
            runner: Runner::Inline { committer: Mutex::new(Box::new(committer)), faults },
        })
    }

    pub(crate) fn start(
        path: PathBuf,
        opener: Box<dyn Open>,
        clock: Clock,
    ) -> Result<Self, StoreError> {
        let committer = Committer::open(path.clone(), opener, clock.clone())?;
        let (queue, waiting) = mpsc::channel();
        let (runs, running) = watch::channel(());
        let thread = std::thread::Builder::new()
            .name("store".to_owned())
            .spawn(move || {
                // Dropped by a panic, too.
                let _runs = runs;
                run(committer, &waiting);
            })
            .map_err(|source| StoreError::Thread { source: Arc::new(source) })?;
        let runner = Runner::Thread {
            queue: Some(queue),
            places: Arc::new(Semaphore::new(QUEUE)),
            bytes: Arc::new(Semaphore::new(QUEUE_UNITS)),
            thread: Some(thread),
            running,
        };
        Ok(Self { path, clock, runner })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn now_ms(&self) -> i64 {
        self.clock.now_ms()
    }

    /// Comes back when nothing can be done here any more.
    pub(crate) async fn ended(&self) {
        match &self.runner {
            Runner::Inline { .. } => std::future::pending().await,
            // Nothing is ever sent: it only closes.
            Runner::Thread { running, .. } => _ = running.clone().changed().await,
        }
    }

    /// Does `work` and returns once it survives a loss of power.
    pub(crate) async fn write<T, F>(&self, call: Call, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&mut Session<'_, '_>) -> Result<T, Refusal> + Send + 'static,
    {
        self.submit(call, Kind::Write(Durability::Power), 0, work).await
    }

    /// Does `work`, which changes nothing, after all that was asked before it.
    pub(crate) async fn read<T, F>(&self, call: Call, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&mut Session<'_, '_>) -> Result<T, Refusal> + Send + 'static,
    {
        self.submit(call, Kind::Read, 0, work).await
    }

    /// Does `work`, which carries `bytes`, when the queue has room for them.
    pub(crate) async fn submit<T, F>(
        &self,
        call: Call,
        kind: Kind,
        bytes: usize,
        work: F,
    ) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&mut Session<'_, '_>) -> Result<T, Refusal> + Send + 'static,
    {
        let gone = || StoreError::Gone { path: self.path.clone() };
        let (reply, answer) = oneshot::channel();
        let path = self.path.clone();
        let operation = Box::new(Job { path, work: Some(work), result: None, kind, reply });
        match &self.runner {
            Runner::Inline { committer, faults } => {
                meet(faults.as_deref(), call, Moment::Before).await?;
                // A panic of another caller leaves no half commit.
                let mut committer = committer.lock().unwrap_or_else(PoisonError::into_inner);
                committer.run(vec![operation]);
                committer.tend();
            }
            Runner::Thread { queue, places, bytes: room, .. } => {
                let place = share(places, 1).await;
                let units = bytes.div_ceil(UNIT).min(QUEUE_UNITS);
                let share = [place, share(room, units).await];
                let queue = queue.as_ref().ok_or_else(gone)?;
                queue.send(Queued { operation, share }).map_err(|_| gone())?;
            }
        }
        let answer = answer.await.map_err(|_| gone())??;
        if let Runner::Inline { faults, .. } = &self.runner {
            meet(faults.as_deref(), call, Moment::After).await?;
        }
        Ok(answer)
    }
}

async fn meet(faults: Option<&dyn Faults>, call: Call, moment: Moment) -> Result<(), StoreError> {
    match faults {
        Some(faults) => faults.meet(call, moment).await,
        None => Ok(()),
    }
}

/// `None` only for a semaphore that is closed, and these never are.
async fn share(semaphore: &Arc<Semaphore>, units: usize) -> Option<OwnedSemaphorePermit> {
    let units = u32::try_from(units).unwrap_or(u32::MAX);
    Arc::clone(semaphore).acquire_many_owned(units).await.ok()
}

fn run(mut committer: Committer, waiting: &mpsc::Receiver<Queued>) {
    let mut wake = committer.tend();
    while let Some(first) = next(waiting, wake) {
        let queued: Vec<Queued> = first.into_iter().chain(waiting.try_iter().take(QUEUE)).collect();
        let (group, shares): (Vec<_>, Vec<_>) =
            queued.into_iter().map(|queued| (queued.operation, queued.share)).unzip();
        committer.run(group);
        drop(shares);
        wake = committer.tend();
    }
}

/// `None` when nobody will ask any more; `Some(None)` when it is time to tend.
fn next(waiting: &mpsc::Receiver<Queued>, wake: Option<Duration>) -> Option<Option<Queued>> {
    let Some(wake) = wake else { return waiting.recv().ok().map(Some) };
    match waiting.recv_timeout(wake) {
        Ok(queued) => Some(Some(queued)),
        Err(RecvTimeoutError::Timeout) => Some(None),
        Err(RecvTimeoutError::Disconnected) => None,
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        let Runner::Thread { queue, thread, .. } = &mut self.runner else { return };
        *queue = None;
        let panicked = thread.take().is_some_and(|thread| thread.join().is_err());
        if panicked {
            tracing::error!(path = %self.path.display(), "the thread of the store panicked");
        }
    }
}

struct Job<T, F> {
    path: PathBuf,
    work: Option<F>,
    result: Option<Result<T, StoreError>>,
    kind: Kind,
    reply: oneshot::Sender<Result<T, StoreError>>,
}

impl<T, F> Operation for Job<T, F>
where
    T: Send,
    F: FnOnce(&mut Session<'_, '_>) -> Result<T, Refusal> + Send,
{
    fn kind(&self) -> Kind {
        self.kind
    }

    fn apply(&mut self, session: &mut Session<'_, '_>) -> Result<(), Failure> {
        let Some(work) = self.work.take() else { return Ok(()) };
        session.tx.savepoint();
        self.result = Some(match caught(|| work(session)) {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(Refusal::Own(error))) => Err(error),
            Ok(Err(Refusal::Database(failure))) => return Err(failure),
            Err(panicked) => {
                // What it had in memory is gone with it, and is read anew.
                session.tx.roll_back();
                let (path, detail) = (self.path.clone(), panicked.0);
                tracing::error!(path = %path.display(), detail, "a request panicked in the store");
                Err(StoreError::Panicked { path, detail })
            }
        });
        Ok(())
    }

    fn answer(self: Box<Self>, committed: Result<(), StoreError>) {
        let answer = match (committed, self.result) {
            (Err(error), _) => Err(error),
            (Ok(()), Some(result)) => result,
            // Applied operations have a result; without one nobody can be told more.
            (Ok(()), None) => return,
        };
        // A caller that no longer waits has dropped its future.
        let _ = self.reply.send(answer);
    }
}
