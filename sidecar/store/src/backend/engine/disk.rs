//! The disk under a data directory.

use std::{
    fs::{self, File},
    io,
    path::PathBuf,
};

use rustix::fs::{FallocateFlags, fallocate, statvfs};

use crate::room::{Disk, Space};

/// Holds room for the store.
const RESERVE_FILE: &str = "store.reserve";

pub(super) struct DataDir(pub(super) PathBuf);

impl DataDir {
    fn file(&self) -> PathBuf {
        self.0.join(RESERVE_FILE)
    }
}

impl Disk for DataDir {
    fn space(&self) -> io::Result<Space> {
        let found = statvfs(&self.0)?;
        Ok(Space { free: found.f_bavail * found.f_frsize, total: found.f_blocks * found.f_frsize })
    }

    fn hold(&self, bytes: u64) -> io::Result<()> {
        let file = File::create(self.file())?;
        let held = fallocate(&file, FallocateFlags::empty(), 0, bytes);
        if held.is_err() {
            self.let_go()?;
        }
        Ok(held?)
    }

    fn holds(&self) -> bool {
        self.file().exists()
    }

    fn let_go(&self) -> io::Result<()> {
        fs::remove_file(self.file())
    }
}
