//! A data directory that lost a byte, an end or a file: whoever starts on it either serves
//! all that was acknowledged, or is told by name what is wrong.
//!
//! Each trial copies a real directory, damages the copy in one place, opens it and compares
//! all that can be read with what the store had answered. `CORRUPTION_PLACES=N` tries about
//! N places; 2400 otherwise.

use std::{
    fmt,
    fs::{self, OpenOptions},
    os::unix::fs::FileExt as _,
    panic::AssertUnwindSafe,
    path::{Path, PathBuf},
    sync::atomic::{AtomicUsize, Ordering},
};

use danube_sidecar_store::Store;

use crate::acknowledged::{Acknowledged, Seen};

const PLACES: usize = 2400;

/// One fault in one file, or a folder that is gone.
#[derive(Clone)]
enum Fault {
    Flip(PathBuf, u64),
    Zero(PathBuf, u64),
    Cut(PathBuf, u64),
    Delete(PathBuf),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flip(file, at) => write!(f, "{}: byte {at} flipped", file.display()),
            Self::Zero(file, at) => write!(f, "{}: 512 zeros at {at}", file.display()),
            Self::Cut(file, at) => write!(f, "{}: cut at {at}", file.display()),
            Self::Delete(path) => write!(f, "{}: deleted", path.display()),
        }
    }
}

impl Fault {
    fn strike(&self, dir: &Path) {
        match self {
            Self::Flip(file, at) => {
                let file = OpenOptions::new().read(true).write(true).open(dir.join(file)).unwrap();
                let mut byte = [0];
                file.read_exact_at(&mut byte, *at).unwrap();
                file.write_all_at(&[byte[0] ^ (1 << (at % 8))], *at).unwrap();
            }
            Self::Zero(file, at) => {
                let file = OpenOptions::new().write(true).open(dir.join(file)).unwrap();
                let length = (file.metadata().unwrap().len() - at).min(512);
                file.write_all_at(&vec![0; length as usize], *at).unwrap();
            }
            Self::Cut(file, at) => {
                let file = OpenOptions::new().write(true).open(dir.join(file)).unwrap();
                file.set_len(*at).unwrap();
            }
            Self::Delete(path) if dir.join(path).is_dir() => {
                fs::remove_dir_all(dir.join(path)).unwrap();
            }
            Self::Delete(path) => fs::remove_file(dir.join(path)).unwrap(),
        }
    }
}

/// Files and folders of a data directory, by their names in it.
fn paths(dir: &Path, below: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir.join(below)).unwrap() {
        let entry = entry.unwrap();
        let path = below.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            paths(dir, &path, found);
        }
        found.push(path);
    }
}

/// All that is deleted, and about `places` in the files: small ones byte by byte, large ones
/// at even distances that no record has.
fn faults(dir: &Path, places: usize) -> Vec<Fault> {
    let mut found = Vec::new();
    paths(dir, Path::new(""), &mut found);
    found.sort();
    let mut faults: Vec<_> = found.iter().cloned().map(Fault::Delete).collect();
    // Journals are there twice; one name is enough.
    let files: Vec<(PathBuf, u64)> = found
        .into_iter()
        .filter(|path| !path.starts_with("store.journals") && dir.join(path).is_file())
        .map(|path| (path.clone(), fs::metadata(dir.join(path)).unwrap().len()))
        .filter(|(_, length)| *length > 0)
        .collect();
    let each = (places / files.len()) as u64;
    for (file, length) in files {
        let step = |share: u64| (length / (each / share).max(1)).max(1) as usize;
        let at = |share| (0..length).step_by(step(share));
        faults.extend(at(1).map(|at| Fault::Flip(file.clone(), at)));
        faults.extend(at(4).map(|at| Fault::Cut(file.clone(), at)));
        faults.extend(at(8).map(|at| Fault::Zero(file.clone(), at)));
    }
    faults
}

/// A copy in which journals have their second names too.
pub(crate) fn copy(base: &Path, dir: &Path) {
    let mut found = Vec::new();
    paths(base, Path::new(""), &mut found);
    found.sort();
    for path in found {
        let (from, to) = (base.join(&path), dir.join(&path));
        match path.strip_prefix("store.journals") {
            _ if from.is_dir() => fs::create_dir_all(to).unwrap(),
            Ok(journal) => fs::hard_link(dir.join("store").join(journal), to).unwrap(),
            Err(_) => _ = fs::copy(from, to).unwrap(),
        }
    }
}

#[derive(Default)]
struct Tally {
    served: AtomicUsize,
    refused: AtomicUsize,
    named: AtomicUsize,
}

/// What came of a fault; an error where something is missing and nobody said so.
fn trial(base: &Path, known: &Acknowledged, fault: &Fault, tally: &Tally) -> Result<(), String> {
    let dir = scratch();
    copy(base, dir.path());
    fault.strike(dir.path());
    let store = match Store::open(dir.path()) {
        Ok(store) => store,
        Err(error) => {
            let message = error.to_string();
            let named = message.contains(&*dir.path().to_string_lossy());
            tally.refused.fetch_add(1, Ordering::Relaxed);
            return if named { Ok(()) } else { Err(format!("refused without a name: {message}")) };
        }
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    match runtime.block_on(known.compare(store)) {
        Seen::All => _ = tally.served.fetch_add(1, Ordering::Relaxed),
        Seen::Named(_) => _ = tally.named.fetch_add(1, Ordering::Relaxed),
        Seen::Missing(what) => return Err(format!("silent loss: {what}")),
    }
    Ok(())
}

/// In memory, where the system has such a place: nothing here tests the disk.
fn scratch() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    let made = tempfile::Builder::new().prefix("store-corruption").tempdir_in(memory);
    made.or_else(|_| tempfile::tempdir()).unwrap()
}

#[test]
fn whatever_is_damaged_all_is_served_or_the_start_is_refused_by_name() {
    let places = std::env::var("CORRUPTION_PLACES").ok().and_then(|places| places.parse().ok());
    let base = scratch();
    let known = Acknowledged::make(base.path());
    let faults = faults(base.path(), places.unwrap_or(PLACES));
    assert!(faults.len() >= 2000, "{} places", faults.len());

    let (tally, next) = (Tally::default(), AtomicUsize::new(0));
    let work = || {
        let mut failed = Vec::new();
        while let Some(fault) = faults.get(next.fetch_add(1, Ordering::Relaxed)) {
            let trial = AssertUnwindSafe(|| trial(base.path(), &known, fault, &tally));
            let outcome = std::panic::catch_unwind(trial);
            match outcome.unwrap_or_else(|_| Err("a panic".to_owned())) {
                Ok(()) => {}
                Err(why) => failed.push(format!("{fault}: {why}")),
            }
        }
        failed
    };
    let failed: Vec<String> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..2).map(|_| scope.spawn(work)).collect();
        workers.into_iter().flat_map(|worker| worker.join().unwrap()).collect()
    });

    let count = |count: &AtomicUsize| count.load(Ordering::Relaxed);
    println!(
        "{} places: {} served all, {} were refused, {} named what they could not read, {} failed",
        faults.len(),
        count(&tally.served),
        count(&tally.refused),
        count(&tally.named),
        failed.len(),
    );
    assert!(failed.is_empty(), "{} of them:\n{}", failed.len(), failed.join("\n"));
    assert!(count(&tally.served) > 0 && count(&tally.refused) > 0);
}
