//! Checkpoints as one small object for each connector, in a store that several
//! sidecars share.

use std::{
    collections::HashMap,
    sync::{Arc, PoisonError},
};

use async_trait::async_trait;
use object_store::path::Path;
use serde::{Deserialize, Serialize};
use tokio::sync::Mutex;

use super::{
    Checkpoint, CheckpointError, Checkpoints, ObjectLocation,
    blobs::{Blobs, Version, Written},
};
use crate::{
    Position, StoreError,
    positions::{MAX_POSITION_BYTES, size},
};

/// The format this version writes.
const FORMAT: u32 = 1;

/// How often a change is tried against other writers. Each try begins with what
/// the last one lost to, so that more than a few mean a loop somewhere.
const ATTEMPTS: usize = 8;

/// Checkpoints in an object store or a shared directory.
///
/// A write is conditional on the version that was read, so that of two sidecars
/// the one with the older epoch finds the newer one's object and moves nothing.
#[derive(Debug)]
pub struct ObjectCheckpoints {
    blobs: Blobs,
    prefix: Path,
    /// What is known of each connector's object. Its lock is held over a change:
    /// at most one write of a connector is in flight.
    known: std::sync::Mutex<HashMap<String, Arc<Mutex<Option<Known>>>>>,
}

/// An object as it was last seen.
#[derive(Clone, Debug)]
struct Known {
    version: Version,
    checkpoint: Checkpoint,
}

/// What an object says.
#[derive(Serialize, Deserialize)]
struct Document {
    format: u32,
    epoch: u64,
    positions: Vec<DocumentPosition>,
}

#[derive(Serialize, Deserialize)]
struct DocumentPosition {
    source_partition: String,
    offset: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    metadata: Option<String>,
}

impl ObjectCheckpoints {
    /// Checkpoints at this location. Nothing is read or written yet.
    ///
    /// # Errors
    /// When the location's options contradict each other.
    pub fn new(location: &ObjectLocation) -> Result<Self, super::LocationError> {
        let (place, prefix) = location.open()?;
        Ok(Self::at(Blobs { place, location: location.url().to_owned() }, prefix))
    }

    fn at(blobs: Blobs, prefix: Path) -> Self {
        Self { blobs, prefix, known: std::sync::Mutex::default() }
    }

    /// Changes a connector's object with `edit`, starting from what is known of it,
    /// and from what is there where that turns out to be old.
    async fn change(
        &self,
        connector: &str,
        edit: impl Fn(&Checkpoint) -> Result<Checkpoint, CheckpointError> + Send + Sync,
    ) -> Result<Checkpoint, CheckpointError> {
        let path = self.path(connector);
        let slot = self.slot(connector);
        let mut known = slot.lock().await;
        for _ in 0..ATTEMPTS {
            // Taken: after an error, what is there is open.
            let from = match known.take() {
                Some(from) => from,
                None => self.read(&path).await?,
            };
            let checkpoint = match edit(&from.checkpoint) {
                Ok(checkpoint) => checkpoint,
                Err(refused) => {
                    *known = Some(from);
                    return Err(refused);
                }
            };
            let content = self.encode(&path, &checkpoint)?.into();
            if let Written::Done(version) = self.blobs.write(&path, content, &from.version).await? {
                *known = Some(Known { version, checkpoint: checkpoint.clone() });
                return Ok(checkpoint);
            }
        }
        let location = self.blobs.location.clone();
        Err(CheckpointError::Contended { object: path.to_string(), location, attempts: ATTEMPTS })
    }

    async fn read(&self, path: &Path) -> Result<Known, CheckpointError> {
        let (content, version) = self.blobs.read(path).await?;
        if version == Version::Absent {
            return Ok(Known { version, checkpoint: Checkpoint::default() });
        }
        let document: Document = serde_json::from_slice(&content)
            .map_err(|error| self.damaged(path, error.to_string()))?;
        if document.format > FORMAT {
            let detail = format!("it has format {}, this version reads {FORMAT}", document.format);
            return Err(self.damaged(path, detail));
        }
        Ok(Known { version, checkpoint: document.into() })
    }

    fn encode(&self, path: &Path, checkpoint: &Checkpoint) -> Result<Vec<u8>, CheckpointError> {
        serde_json::to_vec(&Document::from(checkpoint))
            .map_err(|error| self.damaged(path, error.to_string()))
    }

    fn damaged(&self, path: &Path, detail: String) -> CheckpointError {
        let location = self.blobs.location.clone();
        CheckpointError::Damaged { object: path.to_string(), location, detail }
    }

    fn slot(&self, connector: &str) -> Arc<Mutex<Option<Known>>> {
        let mut slots = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(slots.entry(connector.to_owned()).or_default())
    }

    fn path(&self, connector: &str) -> Path {
        let parts = self.prefix.parts().map(|part| part.as_ref().to_owned());
        let mut names: Vec<String> = parts.collect();
        names.extend(format!("{connector}.json").split('/').map(str::to_owned));
        Path::from_iter(names)
    }
}

#[async_trait]
impl Checkpoints for ObjectCheckpoints {
    async fn next_epoch(&self, connector: &str) -> Result<u64, CheckpointError> {
        let next = |now: &Checkpoint| {
            Ok(Checkpoint { epoch: now.epoch + 1, positions: now.positions.clone() })
        };
        Ok(self.change(connector, next).await?.epoch)
    }

    async fn checkpoint(&self, connector: &str) -> Result<Checkpoint, CheckpointError> {
        Ok(self.read(&self.path(connector)).await?.checkpoint)
    }

    async fn commit_positions(
        &self,
        connector: &str,
        epoch: u64,
        positions: &[Position],
    ) -> Result<(), CheckpointError> {
        let commit = |now: &Checkpoint| {
            if now.epoch != epoch {
                let (connector, latest) = (connector.to_owned(), now.epoch);
                return Err(CheckpointError::StaleEpoch { connector, epoch, latest });
            }
            let after = merged(&now.positions, positions);
            check(connector, &now.positions, &after)?;
            Ok(Checkpoint { epoch, positions: after })
        };
        self.change(connector, commit).await.map(drop)
    }

    async fn replace(
        &self,
        connector: &str,
        positions: &[Position],
    ) -> Result<(), CheckpointError> {
        let replace = |now: &Checkpoint| {
            let after = merged(&[], positions);
            check(connector, &now.positions, &after)?;
            Ok(Checkpoint { epoch: now.epoch + 1, positions: after })
        };
        self.change(connector, replace).await.map(drop)
    }
}

/// The positions by name, the later ones over the earlier.
fn merged(before: &[Position], after: &[Position]) -> Vec<Position> {
    let all = before.iter().chain(after);
    let by_name: std::collections::BTreeMap<&str, &Position> =
        all.map(|position| (position.source_partition.as_str(), position)).collect();
    by_name.into_values().cloned().collect()
}

/// As in the data directory: what is too much already may still move, and become less.
fn check(connector: &str, before: &[Position], after: &[Position]) -> Result<(), StoreError> {
    let sum = |positions: &[Position]| positions.iter().map(size).sum::<u64>();
    let bytes = sum(after);
    if bytes <= MAX_POSITION_BYTES || bytes <= sum(before) {
        return Ok(());
    }
    let (connector, positions) = (connector.to_owned(), after.len() as u64);
    Err(StoreError::PositionsFull { connector, positions, bytes, max: MAX_POSITION_BYTES })
}

impl From<&Checkpoint> for Document {
    fn from(checkpoint: &Checkpoint) -> Self {
        let positions = checkpoint.positions.iter().cloned().map(|position| DocumentPosition {
            source_partition: position.source_partition,
            offset: position.offset,
            metadata: position.metadata,
        });
        Self { format: FORMAT, epoch: checkpoint.epoch, positions: positions.collect() }
    }
}

impl From<Document> for Checkpoint {
    fn from(document: Document) -> Self {
        let positions = document.positions.into_iter().map(|position| Position {
            source_partition: position.source_partition,
            offset: position.offset,
            metadata: position.metadata,
        });
        Self { epoch: document.epoch, positions: positions.collect() }
    }
}

#[cfg(test)]
mod tests {
    use object_store::{ObjectStore, memory::InMemory};

    use super::{super::blobs::Place, *};

    fn sidecar(store: &Arc<dyn ObjectStore>) -> ObjectCheckpoints {
        let blobs = Blobs { place: Place::Store(Arc::clone(store)), location: "memory".to_owned() };
        ObjectCheckpoints::at(blobs, Path::from("prefix"))
    }

    fn at(offset: u64) -> Vec<Position> {
        vec![Position { source_partition: "file".to_owned(), offset, metadata: None }]
    }

    #[tokio::test]
    async fn of_two_sidecars_the_newer_epoch_wins() {
        let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
        let (older, newer) = (sidecar(&store), sidecar(&store));
        let first = older.next_epoch("orders").await.unwrap();
        older.commit_positions("orders", first, &at(5)).await.unwrap();
        let second = newer.next_epoch("orders").await.unwrap();

        let refused = older.commit_positions("orders", first, &at(6)).await.unwrap_err();

        assert!(
            matches!(refused, CheckpointError::StaleEpoch { epoch: 1, latest: 2, .. }),
            "{refused}"
        );
        let checkpoint = newer.checkpoint("orders").await.unwrap();
        assert_eq!(checkpoint, Checkpoint { epoch: second, positions: at(5) });
    }

    #[tokio::test]
    async fn a_stale_epoch_stays_stale() {
        let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
        let (older, newer) = (sidecar(&store), sidecar(&store));
        let first = older.next_epoch("orders").await.unwrap();
        newer.next_epoch("orders").await.unwrap();
        for _ in 0..2 {
            let refused = older.commit_positions("orders", first, &at(6)).await.unwrap_err();
            assert!(matches!(refused, CheckpointError::StaleEpoch { .. }), "{refused}");
        }
    }

    #[tokio::test]
    async fn every_epoch_of_racing_sidecars_is_another() {
        let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
        let sidecars: Vec<_> = (0..4).map(|_| sidecar(&store)).collect();
        let begun = sidecars.iter().map(|sidecar| sidecar.next_epoch("orders"));
        let mut epochs = futures::future::try_join_all(begun).await.unwrap();
        epochs.sort_unstable();
        assert_eq!(epochs, [1, 2, 3, 4]);
    }

    #[tokio::test]
    async fn an_object_of_a_newer_format_is_left_alone() {
        let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
        let newer = r#"{"format":2,"epoch":7,"positions":[]}"#;
        let path = Path::from("prefix/orders.json");
        object_store::ObjectStoreExt::put(&*store, &path, newer.into()).await.unwrap();
        let refused = sidecar(&store).next_epoch("orders").await.unwrap_err();
        assert!(refused.to_string().contains("run a newer sidecar"), "{refused}");
    }
}
