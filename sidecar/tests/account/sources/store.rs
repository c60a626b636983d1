//! A store that is slow, fails, and sometimes fails only to answer, in front of a real
//! one in memory.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use danube_sidecar_store::{
    Call, Checkpoint, CheckpointError, Checkpoints, Moment, Position, Store,
};
use rand::{Rng as _, SeedableRng as _, rngs::StdRng};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tonic::async_trait;

use super::{
    super::faults::{failed, played},
    ledger::Ledger,
};

/// What goes wrong with the store at the moment.
#[derive(Clone, Copy, Debug, Default)]
pub struct Trouble {
    pub failing: bool,
    pub slow: bool,
}

/// What all sidecars share.
pub struct Shared {
    store: Store,
    random: Mutex<StdRng>,
    pub trouble: Mutex<Trouble>,
}

/// One sidecar's access to it.
pub struct Access {
    pub shared: Arc<Shared>,
    pub ledger: Arc<Ledger>,
    pub sidecar: usize,
    /// After this nothing of the sidecar happens any more.
    pub life: CancellationToken,
}

impl Shared {
    pub fn new(seed: u64) -> Self {
        Self {
            store: Store::in_memory().expect("a store in memory"),
            random: Mutex::new(StdRng::seed_from_u64(seed)),
            trouble: Mutex::default(),
        }
    }

    fn chance(&self, probability: f64) -> bool {
        let failing = self.trouble.lock().unwrap_or_else(PoisonError::into_inner).failing;
        let mut random = self.random.lock().unwrap_or_else(PoisonError::into_inner);
        random.random_bool(if failing { probability } else { 0.01 })
    }

    async fn some_time(&self) {
        let slow = self.trouble.lock().unwrap_or_else(PoisonError::into_inner).slow;
        let most = if slow { 14_000_000 } else { 3000 };
        let time = {
            let mut random = self.random.lock().unwrap_or_else(PoisonError::into_inner);
            Duration::from_micros(random.random_range(0..most))
        };
        sleep(time).await;
    }
}

impl Access {
    /// Time before and after what happens in the store at once; it may fail before it
    /// and after it.
    async fn answer<T>(
        &self,
        call: Call,
        happening: impl AsyncFnOnce(&Store) -> Result<T, CheckpointError>,
    ) -> Result<T, CheckpointError> {
        self.shared.some_time().await;
        self.still_there().await;
        if self.shared.chance(0.6) {
            played(failed("source", call, Moment::Before));
            return Err(failure());
        }
        let result = happening(&self.shared.store).await;
        self.shared.some_time().await;
        self.still_there().await;
        if self.shared.chance(0.3) {
            played(failed("source", call, Moment::After));
            return Err(failure());
        }
        result
    }

    async fn still_there(&self) {
        if self.life.is_cancelled() {
            std::future::pending::<()>().await;
        }
    }
}

fn failure() -> CheckpointError {
    CheckpointError::Slow { location: "memory".to_owned(), patience: Duration::ZERO }
}

#[async_trait]
impl Checkpoints for Access {
    async fn next_epoch(&self, connector: &str) -> Result<u64, CheckpointError> {
        self.answer(Call::BeginEpoch, async |store| {
            let epoch = store.next_epoch(connector).await?;
            self.ledger.lock().began(self.sidecar, epoch);
            Ok(epoch)
        })
        .await
    }

    async fn checkpoint(&self, connector: &str) -> Result<Checkpoint, CheckpointError> {
        self.answer(Call::ReadPositions, async |store| {
            Checkpoints::checkpoint(store, connector).await
        })
        .await
    }

    async fn commit_positions(
        &self,
        connector: &str,
        epoch: u64,
        positions: &[Position],
    ) -> Result<(), CheckpointError> {
        self.ledger.lock().committing(epoch, positions);
        self.answer(Call::CommitPositions, async |store| {
            store.commit_positions(connector, epoch, positions).await?;
            self.ledger.lock().durable(epoch, positions);
            Ok(())
        })
        .await
    }

    async fn replace(&self, _: &str, _: &[Position]) -> Result<(), CheckpointError> {
        unreachable!("no operator is here")
    }
}

impl fmt::Debug for Access {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "the store of sidecar {}", self.sidecar)
    }
}
