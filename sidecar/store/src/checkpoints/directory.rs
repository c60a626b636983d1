//! Objects as files of a directory that processes share.
//!
//! A file is compared and replaced under a lock of its own, so that a writer that
//! has read an older version never replaces a newer one; the replacement is a
//! rename of a flushed file, so that a reader and a crash see one version whole.
//! The directory MUST be on a file system whose locks reach all who write to it.

use std::{
    fs::{self, File, TryLockError},
    io::{self, Write as _},
    path::{Path as FilePath, PathBuf},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use object_store::path::Path;

use super::{
    CheckpointError,
    blobs::{Version, Written},
};

/// Between two looks at a lock that another process holds.
const LOCKED: Duration = Duration::from_millis(20);

/// The root of the files.
#[derive(Clone, Debug)]
pub(super) struct Directory(pub(super) PathBuf);

impl Directory {
    pub(super) async fn read(&self, path: &Path) -> Result<(Bytes, Version), CheckpointError> {
        let file = self.file(path);
        blocking(file.clone(), move || content(&file)).await.map(|content| match content {
            Some(content) => (content.clone(), Version::Content(content)),
            None => (Bytes::new(), Version::Absent),
        })
    }

    pub(super) async fn write(
        &self,
        path: &Path,
        new: Bytes,
        expected: &Version,
    ) -> Result<Written, CheckpointError> {
        let file = self.file(path);
        let expected = match expected {
            Version::Content(content) => Some(content.clone()),
            Version::Absent | Version::Object(_) => None,
        };
        loop {
            let (target, seen, content) = (file.clone(), expected.clone(), new.clone());
            let replaced =
                blocking(file.clone(), move || replace(&target, seen.as_ref(), &content)).await?;
            match replaced {
                Replaced::Done => return Ok(Written::Done(Version::Content(new))),
                Replaced::Changed => return Ok(Written::Changed),
                // The caller's timeout bounds the wait.
                Replaced::Locked => tokio::time::sleep(LOCKED).await,
            }
        }
    }

    fn file(&self, path: &Path) -> PathBuf {
        path.parts().fold(self.0.clone(), |file, part| file.join(part.as_ref()))
    }
}

enum Replaced {
    Done,
    Changed,
    Locked,
}

fn replace(file: &FilePath, expected: Option<&Bytes>, new: &[u8]) -> io::Result<Replaced> {
    let folder = file.parent().unwrap_or(FilePath::new("/"));
    fs::create_dir_all(folder)?;
    let lock = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(file.with_extension("lock"))?;
    match lock.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Ok(Replaced::Locked),
        Err(TryLockError::Error(error)) => return Err(error),
    }
    if content(file)?.as_ref() != expected {
        return Ok(Replaced::Changed);
    }
    let fresh = file.with_extension("new");
    let mut writer = File::create(&fresh)?;
    writer.write_all(new)?;
    writer.sync_all()?;
    fs::rename(&fresh, file)?;
    // The rename itself is durable once the folder is.
    File::open(folder)?.sync_all()?;
    Ok(Replaced::Done)
}

fn content(file: &FilePath) -> io::Result<Option<Bytes>> {
    match fs::read(file) {
        Ok(content) => Ok(Some(content.into())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

async fn blocking<T: Send + 'static>(
    path: PathBuf,
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T, CheckpointError> {
    let result = tokio::task::spawn_blocking(work).await.unwrap_or_else(|lost| Err(lost.into()));
    result.map_err(|source| CheckpointError::Directory { path, source: Arc::new(source) })
}
