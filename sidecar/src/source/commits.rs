//! Makes positions durable, one commit of a session at a time.
//!
//! Trouble of the store is not the session's end: the commit is tried again while
//! `demand` stops growing, and what is confirmed meanwhile goes with the next one.

use std::{sync::Arc, time::Duration};

use danube_sidecar_core::publish::{self, Commit};
use danube_sidecar_store::{CheckpointError, Checkpoints, Position};
use futures::{StreamExt as _, future::BoxFuture, stream::FuturesUnordered};
use tokio::sync::watch;
use tracing::{info, warn};

/// Waits before a commit that failed is tried again.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const MAX_PAUSE: Duration = Duration::from_secs(5);

/// The commits of one session. The core has at most one of them underway.
pub(super) struct Commits {
    target: Target,
    underway: FuturesUnordered<BoxFuture<'static, Durable>>,
}

/// Where they go, and who hears of trouble.
#[derive(Clone)]
pub(super) struct Target {
    pub(super) checkpoints: Arc<dyn Checkpoints>,
    /// The store's name for the connector.
    pub(super) key: Arc<str>,
    pub(super) connector: Arc<str>,
    pub(super) epoch: u64,
    /// What keeps positions from becoming durable, for the status page.
    pub(super) trouble: watch::Sender<Option<String>>,
}

/// A commit that came to its end.
pub(super) enum Durable {
    /// All up to this number is durable.
    Committed { number: u64 },
    /// A newer epoch has begun: nothing of this session becomes durable any more.
    Superseded,
}

impl Commits {
    pub(super) fn new(target: Target) -> Self {
        Self { target, underway: FuturesUnordered::new() }
    }

    pub(super) fn push(&mut self, commit: Commit) {
        let target = self.target.clone();
        self.underway.push(Box::pin(async move { target.commit(commit).await }));
    }

    /// The next one that came to its end; none when none is underway.
    pub(super) async fn next(&mut self) -> Option<Durable> {
        self.underway.next().await
    }
}

impl Target {
    async fn commit(self, commit: Commit) -> Durable {
        let number = commit.number;
        let positions: Vec<Position> = commit.positions.into_iter().map(stored).collect();
        if positions.is_empty() {
            return Durable::Committed { number };
        }
        let mut pause = FIRST_PAUSE;
        loop {
            match self.checkpoints.commit_positions(&self.key, self.epoch, &positions).await {
                Ok(()) => {
                    self.well();
                    return Durable::Committed { number };
                }
                Err(CheckpointError::StaleEpoch { .. }) => return Durable::Superseded,
                Err(error) => self.failed(&error),
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(MAX_PAUSE);
        }
    }

    fn well(&self) {
        if self.trouble.send_replace(None).is_some() {
            info!(connector = &*self.connector, "positions become durable again");
        }
    }

    fn failed(&self, error: &CheckpointError) {
        // Logged at the first failure; the status page has the latest.
        if self.trouble.send_replace(Some(error.to_string())).is_none() {
            warn!(
                connector = &*self.connector, %error,
                "positions do not become durable, so nothing is committed; trying again"
            );
        }
    }
}

fn stored(position: publish::Position) -> Position {
    Position {
        source_partition: position.source_partition.to_string(),
        offset: position.offset,
        metadata: position.metadata,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use async_trait::async_trait;
    use danube_sidecar_store::{Checkpoint, StoreError};

    use super::*;

    /// Fails as told, the last one first, and then takes everything.
    #[derive(Debug, Default)]
    struct Failing {
        failures: Mutex<Vec<CheckpointError>>,
        taken: Mutex<Vec<Position>>,
    }

    #[async_trait]
    impl Checkpoints for Failing {
        async fn next_epoch(&self, _: &str) -> Result<u64, CheckpointError> {
            Ok(1)
        }

        async fn checkpoint(&self, _: &str) -> Result<Checkpoint, CheckpointError> {
            Ok(Checkpoint::default())
        }

        async fn commit_positions(
            &self,
            _: &str,
            _: u64,
            positions: &[Position],
        ) -> Result<(), CheckpointError> {
            if let Some(failure) = self.failures.lock().unwrap().pop() {
                return Err(failure);
            }
            self.taken.lock().unwrap().extend_from_slice(positions);
            Ok(())
        }

        async fn replace(&self, _: &str, _: &[Position]) -> Result<(), CheckpointError> {
            Ok(())
        }
    }

    /// What becomes of a commit, and the positions that are durable then.
    async fn commit(failures: Vec<CheckpointError>) -> (Durable, Vec<Position>) {
        let checkpoints =
            Arc::new(Failing { failures: Mutex::new(failures), ..Failing::default() });
        let mut commits = Commits::new(Target {
            checkpoints: checkpoints.clone(),
            key: "source/files".into(),
            connector: "files".into(),
            epoch: 1,
            trouble: watch::Sender::new(None),
        });
        let position =
            publish::Position { source_partition: "a.csv".into(), offset: 7, metadata: None };
        commits.push(Commit { number: 3, positions: vec![position] });
        let durable = commits.next().await.unwrap();
        let taken = checkpoints.taken.lock().unwrap().clone();
        (durable, taken)
    }

    #[tokio::test(start_paused = true)]
    async fn a_commit_that_fails_is_tried_again_until_its_positions_are_durable() {
        let gone = || CheckpointError::Store(StoreError::Gone { path: "store".into() });

        let (durable, taken) = commit(vec![gone(), gone()]).await;

        assert!(matches!(durable, Durable::Committed { number: 3 }));
        assert_eq!(taken.len(), 1);
    }

    #[tokio::test]
    async fn a_stale_epoch_ends_the_session_and_moves_nothing() {
        let connector = "files".to_owned();
        let stale = CheckpointError::StaleEpoch { connector, epoch: 1, latest: 2 };

        let (durable, taken) = commit(vec![stale]).await;

        assert!(matches!(durable, Durable::Superseded));
        assert_eq!(taken, []);
    }
}
