//! A wall clock that jumps: libfaketime, told in a file.

use std::{
    ffi::OsString,
    fs, io,
    path::{Path, PathBuf},
};

use tokio::process::Command;

/// Where `tools/setup faketime` puts the library.
const LIBRARY: &str = ".tools/faketime/libfaketimeMT.so.1";

/// A clock of one process, which goes right until it jumps.
pub struct Clock(PathBuf);

/// The library, where it is installed.
pub fn library() -> Option<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent()?;
    let path = root.join(LIBRARY);
    path.exists().then_some(path)
}

impl Clock {
    /// A clock that is told in `file`.
    pub fn new(file: &Path) -> io::Result<Self> {
        let clock = Self(file.to_owned());
        clock.jump(0)?;
        Ok(clock)
    }

    /// Makes a process go by this clock; its monotonic clock stays the real one.
    pub fn wind(&self, command: &mut Command) {
        let settings = [
            ("LD_PRELOAD", library().map(PathBuf::into_os_string).unwrap_or_default()),
            ("FAKETIME_TIMESTAMP_FILE", self.0.clone().into_os_string()),
            ("FAKETIME_NO_CACHE", OsString::from("1")),
            ("FAKETIME_DONT_FAKE_MONOTONIC", OsString::from("1")),
        ];
        command.envs(settings);
    }

    /// From now on it is so many seconds ahead of the real time.
    pub fn jump(&self, seconds: i64) -> io::Result<()> {
        let beside = self.0.with_extension("new");
        fs::write(&beside, format!("{seconds:+}\n"))?;
        fs::rename(&beside, &self.0)
    }
}
