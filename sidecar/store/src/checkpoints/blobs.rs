//! Small objects that change only as a whole, and only from the version that was
//! read: what fencing across processes needs.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use object_store::{ObjectStore, ObjectStoreExt as _, PutMode, UpdateVersion, path::Path};
use tokio::time::timeout;

use super::{CheckpointError, directory::Directory};

/// Bound of one read or write, the client's own retries included.
const PATIENCE: Duration = Duration::from_secs(10);

/// Where the objects are.
#[derive(Clone, Debug)]
pub(super) enum Place {
    /// A store whose writes can be made conditional on a version.
    Store(Arc<dyn ObjectStore>),
    Directory(Directory),
}

/// The objects, and how they are named in messages.
#[derive(Clone, Debug)]
pub(super) struct Blobs {
    pub(super) place: Place,
    pub(super) location: String,
}

/// Which content of an object somebody has seen.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Version {
    /// There was none.
    Absent,
    Object(UpdateVersion),
    /// In a directory the content itself is the version.
    Content(Bytes),
}

/// What became of a conditional write.
pub(super) enum Written {
    /// It is durable; the object's version is this.
    Done(Version),
    /// The object has another version than expected, perhaps by an earlier attempt
    /// of ours whose answer was lost. Nothing was written.
    Changed,
}

impl Blobs {
    /// The object's content and version.
    pub(super) async fn read(&self, path: &Path) -> Result<(Bytes, Version), CheckpointError> {
        self.bounded(async {
            match &self.place {
                Place::Directory(directory) => directory.read(path).await,
                Place::Store(store) => self.read_object(&**store, path).await,
            }
        })
        .await
    }

    /// Writes the object where its version is still the expected one.
    pub(super) async fn write(
        &self,
        path: &Path,
        content: Bytes,
        expected: &Version,
    ) -> Result<Written, CheckpointError> {
        self.bounded(async {
            match &self.place {
                Place::Directory(directory) => directory.write(path, content, expected).await,
                Place::Store(store) => self.write_object(&**store, path, content, expected).await,
            }
        })
        .await
    }

    async fn read_object(
        &self,
        store: &dyn ObjectStore,
        path: &Path,
    ) -> Result<(Bytes, Version), CheckpointError> {
        let found = match store.get(path).await {
            Ok(found) => found,
            Err(object_store::Error::NotFound { .. }) => {
                return Ok((Bytes::new(), Version::Absent));
            }
            Err(error) => return Err(self.failed(error)),
        };
        let version =
            UpdateVersion { e_tag: found.meta.e_tag.clone(), version: found.meta.version.clone() };
        let content = found.bytes().await.map_err(|error| self.failed(error))?;
        Ok((content, Version::Object(version)))
    }

    async fn write_object(
        &self,
        store: &dyn ObjectStore,
        path: &Path,
        content: Bytes,
        expected: &Version,
    ) -> Result<Written, CheckpointError> {
        let mode = match expected {
            Version::Object(version) => PutMode::Update(version.clone()),
            Version::Absent | Version::Content(_) => PutMode::Create,
        };
        match store.put_opts(path, content.into(), mode.into()).await {
            Ok(put) => Ok(Written::Done(Version::Object(put.into()))),
            Err(
                object_store::Error::Precondition { .. }
                | object_store::Error::AlreadyExists { .. }
                | object_store::Error::NotFound { .. },
            ) => Ok(Written::Changed),
            Err(error) => Err(self.failed(error)),
        }
    }

    async fn bounded<T>(
        &self,
        work: impl Future<Output = Result<T, CheckpointError>>,
    ) -> Result<T, CheckpointError> {
        match timeout(PATIENCE, work).await {
            Ok(result) => result,
            Err(_) => {
                Err(CheckpointError::Slow { location: self.location.clone(), patience: PATIENCE })
            }
        }
    }

    fn failed(&self, error: object_store::Error) -> CheckpointError {
        CheckpointError::Objects { location: self.location.clone(), source: Arc::new(error) }
    }
}
