//! What the process writes is for its own user only: files 0600, folders 0700.

use std::{
    fs::{self, DirBuilder, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::{
        DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _,
    },
    path::Path,
    sync::OnceLock,
};

use nix::sys::stat::{Mode, umask};
use tracing::warn;

/// What the process was started with, for the connectors that it starts.
static INHERITED: OnceLock<Mode> = OnceLock::new();

/// Nothing for the group and for others.
fn ours() -> Mode {
    Mode::S_IRWXG | Mode::S_IRWXO
}

/// From now on everything that the process makes is for its own user only.
pub fn begin() {
    let inherited = umask(ours());
    let _ = INHERITED.set(inherited);
}

/// Starts another program: it has the permissions that we were started with. What we
/// make in that moment lies in folders that are closed.
pub fn suspended<T>(start: impl FnOnce() -> T) -> T {
    let Some(inherited) = INHERITED.get() else { return start() };
    umask(*inherited);
    let started = start();
    umask(ours());
    started
}

/// Makes the data directory, and closes the folders in it that an earlier version has
/// left open. Whether it can be used is found out by who uses it.
pub fn folders(data_dir: &Path) {
    let _ = DirBuilder::new().recursive(true).mode(0o700).create(data_dir);
    for name in ["store", "store.journals", "broker"] {
        let folder = data_dir.join(name);
        if let Err(error) = close(&folder) {
            warn!(
                folder = %folder.display(), %error,
                "other users may read what is kept here, and it cannot be closed: chmod 700 it"
            );
        }
    }
}

fn close(folder: &Path) -> io::Result<()> {
    let found = match fs::symlink_metadata(folder) {
        Ok(found) if found.is_dir() => found,
        _ => return Ok(()),
    };
    let mode = found.permissions().mode();
    if mode & 0o077 == 0 || found.uid() != nix::unistd::geteuid().as_raw() {
        return Ok(());
    }
    fs::set_permissions(folder, fs::Permissions::from_mode(0o700))
}

/// Puts a file with this content at `path`, in the place of what was there: a link is
/// replaced, not followed.
///
/// # Errors
/// The system's.
pub fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    let beside = path.with_extension(format!("{}.new", std::process::id()));
    // One that a process of our number left behind.
    let _ = fs::remove_file(&beside);
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&beside)?;
    file.write_all(content)?;
    fs::rename(&beside, path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn a_file_is_replaced_and_what_a_link_points_at_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let (victim, path) = (folder.path().join("victim"), folder.path().join("http-address"));
        fs::write(&victim, "precious").unwrap();
        std::os::unix::fs::symlink(&victim, &path).unwrap();
        replace(&path, b"127.0.0.1:1").unwrap();
        assert_eq!(fs::read_to_string(&victim).unwrap(), "precious");
        assert_eq!(fs::read_to_string(&path).unwrap(), "127.0.0.1:1");
        assert!(!path.is_symlink());
        assert_eq!(mode(&path), 0o600);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
    }

    #[test]
    fn folders_are_made_closed_and_open_ones_are_closed() {
        let folder = tempfile::tempdir().unwrap();
        let data_dir = folder.path().join("a/b");
        folders(&data_dir);
        assert_eq!((mode(&data_dir), mode(&folder.path().join("a"))), (0o700, 0o700));
        fs::create_dir(data_dir.join("store")).unwrap();
        fs::set_permissions(data_dir.join("store"), fs::Permissions::from_mode(0o755)).unwrap();
        folders(&data_dir);
        assert_eq!(mode(&data_dir.join("store")), 0o700);
    }
}
