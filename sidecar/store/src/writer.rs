//! The one thread that touches the database.
//!
//! It takes everything that waits into one transaction, commits it, and only
//! then answers: the cost of a durable commit is shared by all who ask during the
//! previous one.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    thread::JoinHandle,
};

use redb::{Database, DatabaseError, backends::InMemoryBackend};
use tokio::sync::{mpsc, oneshot};

use crate::{
    StoreError,
    tables::{FORMAT, Refusal, Tables},
};

const FILE_NAME: &str = "sidecar.redb";
const IN_MEMORY: &str = "(in memory)";
/// Most operations in one commit, and most that wait; beyond it callers wait.
const QUEUE: usize = 1024;

/// Handle of the thread. Dropping it finishes what is queued and closes the
/// database.
pub(crate) struct Writer {
    path: PathBuf,
    // `None` only while dropping: the closed queue is what ends the thread.
    queue: Option<mpsc::Sender<Box<dyn Operation>>>,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    pub(crate) fn open(data_dir: &Path) -> Result<Self, StoreError> {
        std::fs::create_dir_all(data_dir).map_err(|source| StoreError::DataDir {
            path: data_dir.to_owned(),
            source: Arc::new(source),
        })?;
        let path = data_dir.join(FILE_NAME);
        let database = open_file(&path)?;
        Self::start(path.clone(), Worker { database: Some(database), file: Some(path) })
    }

    pub(crate) fn in_memory() -> Result<Self, StoreError> {
        let path = PathBuf::from(IN_MEMORY);
        let database = Database::builder()
            .create_with_backend(InMemoryBackend::new())
            .map_err(|error| database_error(&path, error))?;
        Self::start(path, Worker { database: Some(database), file: None })
    }

    fn start(path: PathBuf, worker: Worker) -> Result<Self, StoreError> {
        let (queue, waiting) = mpsc::channel(QUEUE);
        let thread = std::thread::Builder::new()
            .name("store".to_owned())
            .spawn(move || worker.run(waiting))
            .map_err(|source| StoreError::Thread { source: Arc::new(source) })?;
        Ok(Self { path, queue: Some(queue), thread: Some(thread) })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Does `work` and returns once it is durable.
    pub(crate) async fn write<T, F>(&self, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Tables<'_>) -> Result<T, Refusal> + Send + 'static,
    {
        self.submit(work, true).await
    }

    /// Does `work`, which changes nothing, after all that was asked before it.
    pub(crate) async fn read<T, F>(&self, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Tables<'_>) -> Result<T, Refusal> + Send + 'static,
    {
        self.submit(work, false).await
    }

    async fn submit<T, F>(&self, work: F, writes: bool) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Tables<'_>) -> Result<T, Refusal> + Send + 'static,
    {
        let gone = || StoreError::Gone { path: self.path.clone() };
        let (reply, answer) = oneshot::channel();
        let job = Job { work: Some(work), result: None, writes, reply };
        let queue = self.queue.as_ref().ok_or_else(gone)?;
        queue.send(Box::new(job)).await.map_err(|_| gone())?;
        answer.await.map_err(|_| gone())?
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.queue = None;
        let panicked = self.thread.take().is_some_and(|thread| thread.join().is_err());
        if panicked {
            tracing::error!(path = %self.path.display(), "the thread of the store panicked");
        }
    }
}

/// Something to do in a transaction, and who waits for it.
trait Operation: Send {
    /// Works in the transaction; an error means that the transaction is lost.
    fn apply(&mut self, tables: &Tables<'_>) -> Result<(), redb::Error>;
    fn writes(&self) -> bool;
    /// Answers the waiting caller, after the commit or its failure.
    fn answer(self: Box<Self>, committed: Result<(), StoreError>);
}

struct Job<T, F> {
    work: Option<F>,
    result: Option<Result<T, StoreError>>,
    writes: bool,
    reply: oneshot::Sender<Result<T, StoreError>>,
}

impl<T, F> Operation for Job<T, F>
where
    T: Send,
    F: FnOnce(&Tables<'_>) -> Result<T, Refusal> + Send,
{
    fn apply(&mut self, tables: &Tables<'_>) -> Result<(), redb::Error> {
        let Some(work) = self.work.take() else { return Ok(()) };
        self.result = Some(match work(tables) {
            Ok(value) => Ok(value),
            Err(Refusal::StaleEpoch { connector, epoch, latest }) => {
                Err(StoreError::StaleEpoch { connector, epoch, latest })
            }
            Err(Refusal::Database(error)) => return Err(error),
        });
        Ok(())
    }

    fn writes(&self) -> bool {
        self.writes
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

struct Worker {
    /// `None` after a failure, until the file could be opened again.
    database: Option<Database>,
    /// `None` in memory.
    file: Option<PathBuf>,
}

impl Worker {
    fn run(mut self, mut waiting: mpsc::Receiver<Box<dyn Operation>>) {
        let mut group = Vec::with_capacity(QUEUE);
        while waiting.blocking_recv_many(&mut group, QUEUE) > 0 {
            let committed = self.commit(&mut group);
            for operation in group.drain(..) {
                operation.answer(committed.clone());
            }
        }
    }

    fn commit(&mut self, group: &mut [Box<dyn Operation>]) -> Result<(), StoreError> {
        let path = self.file.as_deref().unwrap_or(Path::new(IN_MEMORY));
        let database = match self.database.take() {
            Some(database) => database,
            None => open_file(path)?,
        };
        let committed = transact(&database, group).map_err(|error| database_error(path, error));
        // After a failed write the database refuses everything until it is opened
        // again. In memory that would be another one.
        if committed.is_ok() || self.file.is_none() {
            self.database = Some(database);
        }
        committed
    }
}

fn transact(database: &Database, group: &mut [Box<dyn Operation>]) -> Result<(), redb::Error> {
    let transaction = database.begin_write()?;
    for operation in group.iter_mut() {
        operation.apply(&Tables(&transaction))?;
    }
    if group.iter().any(|operation| operation.writes()) {
        // Immediate durability is redb's default: commit returns after the fsync.
        transaction.commit()?;
    } else {
        transaction.abort()?;
    }
    Ok(())
}

fn open_file(path: &Path) -> Result<Database, StoreError> {
    let database = Database::create(path).map_err(|error| match error {
        DatabaseError::DatabaseAlreadyOpen => StoreError::InUse { path: path.to_owned() },
        error => database_error(path, error),
    })?;
    let found = format_of(&database).map_err(|error| database_error(path, error))?;
    if found > FORMAT {
        return Err(StoreError::Format { path: path.to_owned(), found, supported: FORMAT });
    }
    Ok(database)
}

fn format_of(database: &Database) -> Result<u32, redb::Error> {
    let transaction = database.begin_write()?;
    let found = Tables(&transaction).format()?;
    transaction.commit()?;
    Ok(found)
}

fn database_error(path: &Path, error: impl Into<redb::Error>) -> StoreError {
    StoreError::Database { path: path.to_owned(), source: Arc::new(error.into()) }
}
