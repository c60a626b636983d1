//! The Unix socket: for our own user only, and never in the place of something else.

use std::{
    fs, io,
    os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

use tokio::net::{UnixListener, UnixStream};

use super::ListenError;

/// The socket that we made.
#[derive(Debug)]
pub struct Socket {
    path: PathBuf,
    identity: Identity,
}

/// Device, inode, and the time of its last change: an inode's number is given again.
type Identity = (u64, u64, i64, i64);

fn identity(found: &fs::Metadata) -> Identity {
    (found.dev(), found.ino(), found.ctime(), found.ctime_nsec())
}

/// Binds a Unix socket for this user only. A socket of this user that nobody serves
/// any more is replaced; anything else that is there stays, and is an error.
///
/// # Errors
/// With the path, and what is there.
pub async fn bind_unix(path: &Path) -> Result<(UnixListener, Socket), ListenError> {
    let fail = |source| ListenError::Unix { path: path.to_owned(), source };
    let taken = |problem| ListenError::Taken { path: path.to_owned(), problem };
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(fail(error)),
        Ok(found) => {
            in_the_way(path, &found).await.map_err(taken)?;
            fs::remove_file(path).map_err(fail)?;
        }
    }
    let listener = UnixListener::bind(path).map_err(fail)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).map_err(fail)?;
    let made = fs::symlink_metadata(path).map_err(fail)?;
    Ok((listener, Socket { path: path.to_owned(), identity: identity(&made) }))
}

/// An error where what is there must stay.
async fn in_the_way(path: &Path, found: &fs::Metadata) -> Result<(), &'static str> {
    if !found.file_type().is_socket() {
        return Err("something that is not a socket is there");
    }
    if found.uid() != nix::unistd::geteuid().as_raw() {
        return Err("a socket of another user is there");
    }
    match UnixStream::connect(path).await {
        Ok(_) => Err("another program serves it (another sidecar?)"),
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => Ok(()),
        Err(_) => Err("a socket is there, and it cannot be told whether a program serves it"),
    }
}

impl Socket {
    /// Takes it away, where it is still ours: what stays behind is only replaced at the
    /// next start.
    pub fn remove(&self) {
        let ours =
            fs::symlink_metadata(&self.path).is_ok_and(|found| identity(&found) == self.identity);
        if ours {
            let _ = fs::remove_file(&self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place() -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sidecar.sock");
        (folder, path)
    }

    async fn problem(path: &Path) -> &'static str {
        match bind_unix(path).await {
            Err(ListenError::Taken { problem, .. }) => problem,
            other => panic!("{other:?}"),
        }
    }

    #[tokio::test]
    async fn a_file_a_folder_and_a_link_stay_as_they_are() {
        let (folder, path) = place();
        fs::write(&path, "a configuration").unwrap();
        assert!(problem(&path).await.contains("not a socket"));
        assert_eq!(fs::read_to_string(&path).unwrap(), "a configuration");

        let link = folder.path().join("link.sock");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        assert!(problem(&link).await.contains("not a socket"));
        assert!(link.is_symlink() && path.is_file());
        assert!(problem(folder.path()).await.contains("not a socket"));
    }

    #[tokio::test]
    async fn a_socket_that_is_served_stays_and_one_that_nobody_serves_is_replaced() {
        let (_folder, path) = place();
        let (listener, socket) = bind_unix(&path).await.unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(problem(&path).await.contains("serves it"));
        drop(listener);
        let (_listener, _socket) = bind_unix(&path).await.unwrap();
        socket.remove();
        assert!(path.exists(), "it is another one's by now");
    }

    #[tokio::test]
    async fn what_we_made_is_taken_away() {
        let (_folder, path) = place();
        let (_listener, socket) = bind_unix(&path).await.unwrap();
        socket.remove();
        assert!(!path.exists());
    }
}
