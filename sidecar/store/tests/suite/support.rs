//! Records, clocks and inboxes of tests.

use std::{
    collections::HashMap,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::{Duration, Instant},
};

use danube_sidecar_core::record::{Identity, Record, SchemaRef};
use danube_sidecar_store::{Entry, Inbox, InboxSettings, Store};

pub(crate) const SETTINGS: InboxSettings =
    InboxSettings { fsync: false, max_bytes: 1 << 30, retain: Duration::ZERO };

/// The record at `offset` of a partition.
pub(crate) fn record_of(partition: &str, offset: u64, size: usize) -> Record {
    Record {
        identity: Identity {
            partition: partition.into(),
            offset,
            producer: "shop".into(),
            request_id: offset + 1,
            publish_time_ms: 1_700_000_000_000 + offset,
        },
        topic: "/default/orders".into(),
        subscription: "sub".into(),
        key: offset.is_multiple_of(2).then(|| format!("key-{offset}").into()),
        payload: noise(offset, size).into(),
        attributes: HashMap::from([("trace".to_owned(), offset.to_string())]),
        schema: offset.is_multiple_of(3).then_some(SchemaRef { schema_id: 7, version: 2 }),
    }
}

pub(crate) fn records(offsets: std::ops::Range<u64>, size: usize) -> Vec<Arc<Record>> {
    offsets.map(|offset| Arc::new(record_of("/default/orders-part-0", offset, size))).collect()
}

/// Bytes that no compression makes smaller, the same for the same seed.
fn noise(seed: u64, size: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        Some(state.to_le_bytes())
    };
    std::iter::from_fn(next).flatten().take(size).collect()
}

/// A clock that tests set.
#[derive(Clone)]
pub(crate) struct TestClock(Arc<AtomicI64>);

impl TestClock {
    pub(crate) fn at(ms: i64) -> Self {
        Self(Arc::new(AtomicI64::new(ms)))
    }

    pub(crate) fn set(&self, ms: i64) {
        self.0.store(ms, Ordering::SeqCst);
    }

    pub(crate) fn store(&self) -> Store {
        let clock = Arc::clone(&self.0);
        Store::in_memory_at(move || clock.load(Ordering::SeqCst)).unwrap()
    }
}

pub(crate) async fn inbox_in(dir: &Path) -> Inbox {
    Store::open(dir).unwrap().inbox("sink", SETTINGS).await.unwrap()
}

pub(crate) async fn waiting(inbox: &Inbox) -> Vec<Entry> {
    let mut entries: Vec<Entry> = Vec::new();
    loop {
        let after = entries.last().map_or(0, |entry| entry.seq);
        let more = inbox.read(after, 1000, 1 << 20).await.unwrap();
        if more.is_empty() {
            return entries;
        }
        entries.extend(more);
    }
}

pub(crate) async fn waiting_seqs(inbox: &Inbox) -> Vec<u64> {
    waiting(inbox).await.iter().map(|entry| entry.seq).collect()
}

/// Waits for a condition that comes by itself.
pub(crate) async fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let patience = Instant::now() + Duration::from_secs(60);
    while !condition() {
        assert!(Instant::now() < patience, "in vain: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Bytes that the files of a folder take from the disk.
pub(crate) fn disk_usage(dir: &Path) -> u64 {
    let mut files = HashMap::new();
    measure(dir, &mut files);
    files.values().sum()
}

/// A file with two names takes its room once.
fn measure(dir: &Path, files: &mut HashMap<u64, u64>) {
    use std::os::unix::fs::MetadataExt as _;
    let Ok(entries) = std::fs::read_dir(dir) else { return };
    for entry in entries.flatten() {
        match entry.metadata() {
            Ok(metadata) if metadata.is_dir() => measure(&entry.path(), files),
            Ok(metadata) => _ = files.insert(metadata.ino(), metadata.blocks() * 512),
            Err(_) => {}
        }
    }
}
