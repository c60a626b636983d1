//! Groups of operations become one commit each; a database that failed is opened
//! again.
//!
//! **Architecture invariant:** a change is answered after its commit, never
//! before. A group that fails is forgotten as a whole: what is kept in memory is
//! read anew.

use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

use crate::{
    StoreError,
    backend::{Backend, Durability, Failure, Open},
    clock::Clock,
    inbox::Ledgers,
    letters::Shelves,
    panics::caught,
    room::Room,
    transaction::Transaction,
};

/// How long a commit may wait for the disk, how often resolved records are swept
/// away, and how long a failed database is left alone.
pub(crate) const TICK: Duration = Duration::from_secs(1);
const REOPEN_AFTER: Duration = Duration::from_millis(100);
/// What the log held has gone by then, if it can.
const RENEW_AFTER: Duration = Duration::from_secs(10);

/// What an operation works on: uncommitted changes, and what memory knows.
pub(crate) struct Session<'c, 'b> {
    pub(crate) tx: Transaction<'b>,
    pub(crate) memory: &'c mut Memory,
    pub(crate) room: &'c mut Room,
}

/// Derived from the database, and dropped whenever a commit fails.
#[derive(Default)]
pub(crate) struct Memory {
    pub(crate) inboxes: Ledgers,
    pub(crate) letters: Shelves,
}

impl Memory {
    /// Lets others see what has been committed.
    fn publish(&mut self) {
        self.inboxes.publish();
        self.letters.publish();
    }
}

/// Why an operation did not happen.
pub(crate) enum Refusal {
    /// By its own rules; its neighbours go on.
    Own(StoreError),
    /// The database failed; the transaction is lost.
    Database(Failure),
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Own(error) => error.fmt(f),
            Self::Database(Failure(error)) => error.fmt(f),
        }
    }
}

impl From<Failure> for Refusal {
    fn from(failure: Failure) -> Self {
        Self::Database(failure)
    }
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        Self::Own(error)
    }
}

/// Whether an operation changes anything, and how well that must be kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Read,
    Write(Durability),
}

/// Something to do in a transaction, and who waits for it.
///
/// One that refuses by its own rules MUST do so before its first change, because
/// its neighbours in the transaction are committed.
pub(crate) trait Operation: Send {
    fn kind(&self) -> Kind;
    /// An error means that the transaction is lost.
    fn apply(&mut self, session: &mut Session<'_, '_>) -> Result<(), Failure>;
    /// Answers the waiting caller, after the commit or its failure.
    fn answer(self: Box<Self>, committed: Result<(), StoreError>);
}

/// The one place where commits happen.
pub(crate) struct Committer {
    path: PathBuf,
    opener: Box<dyn Open>,
    /// `None` while it cannot be opened.
    backend: Option<Box<dyn Backend>>,
    failed: Option<Failed>,
    memory: Memory,
    room: Room,
    clock: Clock,
    unsynced: bool,
    ticked: Instant,
    /// When the log was last begun anew, to make room.
    renewed: Option<Instant>,
}

/// Since when nothing is written, and why.
struct Failed {
    error: StoreError,
    tried: Instant,
}

impl Committer {
    pub(crate) fn open(
        path: PathBuf,
        opener: Box<dyn Open>,
        clock: Clock,
    ) -> Result<Self, StoreError> {
        let backend = Some(opener.open()?);
        let room = Room::new(path.parent().unwrap_or(&path), opener.disk());
        Ok(Self {
            path,
            opener,
            backend,
            failed: None,
            memory: Memory::default(),
            room,
            clock,
            unsynced: false,
            ticked: Instant::now(),
            renewed: None,
        })
    }

    /// Does all of `group`, and answers each: the changes in one commit, in their
    /// order, then the reads.
    pub(crate) fn run(&mut self, group: Vec<Box<dyn Operation>>) {
        let (mut writes, reads): (Vec<_>, Vec<_>) =
            group.into_iter().partition(|operation| operation.kind() != Kind::Read);
        if !writes.is_empty() {
            let committed = self.write(&mut writes);
            for operation in writes {
                operation.answer(committed.clone());
            }
        }
        for mut operation in reads {
            let done = self.read(&mut *operation);
            operation.answer(done);
        }
    }

    /// What is done without being asked: fsync, sweep, reopen. Tells when to come
    /// again, if nothing else happens.
    pub(crate) fn tend(&mut self) -> Option<Duration> {
        if self.ticked.elapsed() >= TICK {
            self.ticked = Instant::now();
            if let Err(error) = self.tick() {
                // The failure itself was told when it came.
                tracing::debug!(%error, "the store is not well");
            }
        }
        let busy = self.unsettled()
            || self.failed.is_some()
            || self.room.waits()
            || self.memory.inboxes.need_sweep()
            || self.memory.letters.need_sweep();
        busy.then(|| TICK.saturating_sub(self.ticked.elapsed()))
    }

    fn unsettled(&self) -> bool {
        self.unsynced || self.backend.as_ref().is_some_and(|backend| !backend.settled())
    }

    fn tick(&mut self) -> Result<(), StoreError> {
        self.recover()?;
        let now_ms = self.clock.now_ms();
        self.transact(Durability::Process, |session| {
            let Memory { inboxes, letters } = &mut *session.memory;
            inboxes.sweep(&mut session.tx, now_ms)?;
            letters.sweep(&mut session.tx, now_ms)
        })?;
        let synced = match &mut self.backend {
            Some(backend) => {
                let unsettled = self.unsynced || !backend.settled();
                let synced = if unsettled { backend.sync() } else { Ok(()) };
                let (inboxes, suffices) = (&mut self.memory.inboxes, self.room.suffices());
                // It writes what is in memory into files.
                let reclaim = || if suffices { inboxes.reclaim(&mut **backend) } else { Ok(()) };
                synced.and_then(|()| no_panic(reclaim))
            }
            None => Ok(()),
        };
        synced.map_err(|failure| self.fail(failure))?;
        self.unsynced = false;
        self.look_for_room();
        self.room.tend();
        self.renew()
    }

    fn look_for_room(&mut self) {
        let unwritten = self.backend.as_ref().map_or(0, |backend| backend.unwritten());
        self.room.look(unwritten);
    }

    /// On a disk that is nearly full begins the log anew, where it holds mostly what
    /// nobody needs any more.
    fn renew(&mut self) -> Result<(), StoreError> {
        let lately = self.renewed.is_some_and(|renewed| renewed.elapsed() < RENEW_AFTER);
        let wanted = self.memory.inboxes.bytes() + self.room.reserve() / 2;
        let log = self.backend.as_ref().map_or(0, |backend| backend.log_bytes());
        if !self.room.is_low() || lately || log < wanted {
            return Ok(());
        }
        self.renewed = Some(Instant::now());
        tracing::info!(bytes = log, "the store's log is begun anew, to make room on the disk");
        self.open_again(|opener| opener.open_without_log())
    }

    /// Closes the database, and opens it again.
    fn open_again(
        &mut self,
        open: impl FnOnce(&dyn Open) -> Result<Box<dyn Backend>, StoreError>,
    ) -> Result<(), StoreError> {
        // Its lock and its threads must be gone first.
        self.backend = None;
        self.memory = Memory::default();
        match open(&*self.opener) {
            Ok(backend) => {
                self.backend = Some(backend);
                self.failed = None;
                Ok(())
            }
            Err(error) => {
                self.failed = Some(Failed { error: error.clone(), tried: Instant::now() });
                Err(error)
            }
        }
    }

    fn write(&mut self, operations: &mut [Box<dyn Operation>]) -> Result<(), StoreError> {
        self.recover()?;
        let durability = operations.iter().filter_map(|operation| match operation.kind() {
            Kind::Write(durability) => Some(durability),
            Kind::Read => None,
        });
        let durability = durability.max().unwrap_or(Durability::Process);
        self.look_for_room();
        self.transact(durability, |session| {
            operations.iter_mut().try_for_each(|operation| operation.apply(session))
        })
    }

    fn transact(
        &mut self,
        durability: Durability,
        work: impl FnOnce(&mut Session<'_, '_>) -> Result<(), Failure>,
    ) -> Result<(), StoreError> {
        let Some(backend) = &mut self.backend else { return Err(self.away()) };
        let Self { memory, room, .. } = self;
        let mut session = Session { tx: Transaction::new(&**backend), memory, room };
        let done = no_panic(|| work(&mut session));
        let changes = session.tx.into_changes();
        let committed = match done {
            Ok(()) if changes.is_empty() => Ok(()),
            Ok(()) => {
                self.unsynced |= durability == Durability::Process;
                no_panic(|| backend.commit(changes, durability))
            }
            Err(failure) => Err(failure),
        };
        committed.map_err(|failure| self.fail(failure))?;
        self.memory.publish();
        Ok(())
    }

    fn read(&mut self, operation: &mut dyn Operation) -> Result<(), StoreError> {
        if self.backend.is_none() {
            self.recover()?;
        }
        let Some(backend) = &self.backend else { return Err(self.away()) };
        let Self { memory, room, .. } = self;
        let mut session = Session { tx: Transaction::new(&**backend), memory, room };
        operation.apply(&mut session).map_err(|failure| failure.at(&self.path))?;
        self.memory.publish();
        Ok(())
    }

    fn fail(&mut self, failure: Failure) -> StoreError {
        let error = failure.at(&self.path);
        tracing::warn!(%error, "the store failed; it is opened again when that has a chance");
        self.memory = Memory::default();
        self.failed = Some(Failed { error: error.clone(), tried: Instant::now() });
        error
    }

    /// Opens the database again after a failure, where that has a chance. Until
    /// then the old one still answers reads.
    fn recover(&mut self) -> Result<(), StoreError> {
        let Some(failed) = &mut self.failed else { return Ok(()) };
        if !failed.error.is_transient() || failed.tried.elapsed() < REOPEN_AFTER {
            return Err(failed.error.clone());
        }
        failed.tried = Instant::now();
        let error = failed.error.clone();
        // On a full disk the store has kept some room for this.
        self.look_for_room();
        if !self.opener.worth_trying() {
            return Err(error);
        }
        self.open_again(|opener| opener.open())?;
        tracing::info!(path = %self.path.display(), "the store is open again");
        Ok(())
    }

    fn away(&self) -> StoreError {
        match &self.failed {
            Some(failed) => failed.error.clone(),
            None => StoreError::Gone { path: self.path.clone() },
        }
    }
}

/// A panic of the database is a failure like another: it is opened again.
fn no_panic(work: impl FnOnce() -> Result<(), Failure>) -> Result<(), Failure> {
    caught(work).unwrap_or_else(|panicked| {
        tracing::error!(%panicked, "the database panicked: a fault of the sidecar, report it");
        Err(Failure::new(panicked))
    })
}
