//! A small disk for the sidecar's store, to be filled.

use std::{
    fs::{self, File},
    io::{self, Write as _},
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, bail};

/// Its size: the store, and little else.
const MEGABYTES: u64 = 16;
/// Set in a process that has a mount namespace of its own.
const NAMESPACE: &str = "CHAOS_NAMESPACE";

/// Whether this process may mount; one that may not starts itself again in a
/// namespace of its own where it may, and does not come back.
pub fn prepare() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let Err(refused) = Disk::mount(&folder.path().join("disk")) else { return Ok(()) };
    if std::env::var_os(NAMESPACE).is_some() {
        return Err(refused.context("not even in a namespace of its own"));
    }
    let allowed = Command::new("unshare").args(["--map-root-user", "--mount", "true"]).output();
    if !allowed.is_ok_and(|tried| tried.status.success()) {
        return Err(refused.context("`unshare --map-root-user --mount` is not allowed either"));
    }
    let error = Command::new("unshare")
        .args(["--map-root-user", "--mount"])
        .arg(std::env::current_exe()?)
        .args(std::env::args_os().skip(1))
        .env(NAMESPACE, "1")
        .exec();
    Err(error.into())
}

/// A mounted tmpfs. Dropping it unmounts it.
pub struct Disk(PathBuf);

impl Disk {
    /// Mounts one at `path`, which is created.
    pub fn mount(path: &Path) -> anyhow::Result<Self> {
        fs::create_dir_all(path)?;
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={MEGABYTES}m"), "tmpfs"])
            .arg(path)
            .output()
            .context("cannot run mount")?;
        if !mounted.status.success() {
            bail!("mount: {}", String::from_utf8_lossy(&mounted.stderr).trim());
        }
        Ok(Self(path.to_owned()))
    }

    /// Fills it to the last byte.
    pub fn fill(&self) -> anyhow::Result<()> {
        let mut ballast = File::create(self.ballast())?;
        let zeros = vec![0; 64 * 1024];
        loop {
            match ballast.write_all(&zeros) {
                Ok(()) => {}
                // A tmpfs takes whole pages, so what is left is less than one.
                Err(error) if error.kind() == io::ErrorKind::StorageFull => return Ok(()),
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Makes room again.
    pub fn free(&self) -> io::Result<()> {
        fs::remove_file(self.ballast())
    }

    fn ballast(&self) -> PathBuf {
        self.0.join("ballast")
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Lazily: a process that was just killed may still be on its way out.
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).output();
    }
}
