//! A disk that fails on demand, and what callers see of it.

use std::{
    path::PathBuf,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use danube_sidecar_core::record::{Identity, Record};

use crate::{
    Inbox, InboxSettings, Store, StoreError,
    backend::{Backend, Changes, Durability, Entry, Failure, Open, Space, memory::Memory},
    clock::Clock,
    writer::Writer,
};

const SETTINGS: InboxSettings =
    InboxSettings { fsync: false, max_bytes: 1 << 20, retain: Duration::ZERO };

/// Shared by all who open it; outlives them like a disk.
#[derive(Clone, Default)]
struct Disk {
    stored: Arc<Mutex<Memory>>,
    fails: Arc<AtomicBool>,
    /// A commit that fails has happened all the same.
    writes_while_failing: Arc<AtomicBool>,
    sync_fails: Arc<AtomicBool>,
    opened: Arc<AtomicUsize>,
    synced: Arc<AtomicUsize>,
    /// The next commit panics.
    panics: Arc<AtomicBool>,
    reopening_panics: Arc<AtomicBool>,
}

impl Disk {
    fn failure() -> Failure {
        Failure::new(std::io::Error::from(std::io::ErrorKind::StorageFull))
    }

    fn store(&self) -> Store {
        let disk = Box::new(self.clone());
        let writer = Writer::start(PathBuf::from("disk"), disk, Clock::system()).unwrap();
        Store { writer: Arc::new(writer) }
    }

    async fn inbox(&self) -> Inbox {
        self.store().inbox("sink", SETTINGS).await.unwrap()
    }
}

impl Open for Disk {
    fn open(&self) -> Result<Box<dyn Backend>, StoreError> {
        assert!(!self.reopening_panics.load(Ordering::SeqCst), "a fault of the engine");
        self.opened.fetch_add(1, Ordering::SeqCst);
        Ok(Box::new(self.clone()))
    }

    fn worth_trying(&self) -> bool {
        !self.fails.load(Ordering::SeqCst)
    }
}

impl Backend for Disk {
    fn value(&self, space: Space, key: &[u8]) -> Result<Option<Bytes>, Failure> {
        self.stored.lock().unwrap().value(space, key)
    }

    fn range<'a>(
        &'a self,
        space: Space,
        from: &[u8],
        to: &[u8],
    ) -> Box<dyn Iterator<Item = Result<Entry, Failure>> + 'a> {
        let entries: Vec<_> = self.stored.lock().unwrap().range(space, from, to).collect();
        Box::new(entries.into_iter())
    }

    fn commit(&mut self, changes: Changes, durability: Durability) -> Result<(), Failure> {
        assert!(!self.panics.swap(false, Ordering::SeqCst), "a fault of the engine");
        let fails = self.fails.load(Ordering::SeqCst);
        if !fails || self.writes_while_failing.load(Ordering::SeqCst) {
            self.stored.lock().unwrap().commit(changes, durability)?;
        }
        if fails { Err(Self::failure()) } else { Ok(()) }
    }

    fn sync(&mut self) -> Result<(), Failure> {
        if self.sync_fails.swap(false, Ordering::SeqCst) {
            return Err(Self::failure());
        }
        self.synced.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }

    fn reclaim(&mut self, _: Space, _: &[u8], _: &[u8]) -> Result<(), Failure> {
        Ok(())
    }
}

fn records(offsets: std::ops::Range<u64>) -> Vec<Arc<Record>> {
    let record = |offset| Record {
        identity: Identity {
            partition: "p".into(),
            offset,
            producer: "shop".into(),
            request_id: offset,
            publish_time_ms: 1,
        },
        topic: "p".into(),
        subscription: "sub".into(),
        key: None,
        payload: Bytes::new(),
        attributes: std::collections::HashMap::new(),
        schema: None,
    };
    offsets.map(|offset| Arc::new(record(offset))).collect()
}

async fn seqs(inbox: &Inbox) -> Vec<u64> {
    inbox.read(0, 100, 1 << 20).await.unwrap().iter().map(|entry| entry.seq).collect()
}

/// Asks until the store is well again.
async fn append_at_last(inbox: &Inbox, offsets: std::ops::Range<u64>) -> u64 {
    let patience = Instant::now() + Duration::from_secs(20);
    loop {
        match inbox.append(records(offsets.clone())).await {
            Ok(at) => return at.first_seq,
            Err(error) => assert!(error.is_transient() && Instant::now() < patience, "{error}"),
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn a_commit_that_fails_is_told_to_everyone_who_waits_for_it() {
    let disk = Disk::default();
    let store = disk.store();
    let inbox = store.inbox("sink", SETTINGS).await.unwrap();
    inbox.append(records(0..2)).await.unwrap();
    disk.fails.store(true, Ordering::SeqCst);

    let told = tokio::join!(
        inbox.append(records(2..4)),
        inbox.resolve(vec![1]),
        store.next_epoch("files"),
        store.keep_consumer_id("key", 7),
    );

    assert!(matches!(told.0, Err(StoreError::Database { .. })), "{told:?}");
    assert!(told.1.is_err() && told.2.is_err() && told.3.is_err(), "{told:?}");
    assert_eq!(seqs(&inbox).await, [1, 2]);
    assert_eq!(inbox.usage().records, 2);
}

#[tokio::test]
async fn a_store_that_failed_is_opened_again_and_goes_on() {
    let disk = Disk::default();
    let inbox = disk.inbox().await;
    inbox.append(records(0..2)).await.unwrap();
    disk.fails.store(true, Ordering::SeqCst);
    inbox.append(records(2..4)).await.unwrap_err();
    disk.fails.store(false, Ordering::SeqCst);

    assert_eq!(append_at_last(&inbox, 2..4).await, 3);

    assert_eq!(disk.opened.load(Ordering::SeqCst), 2);
    assert_eq!(seqs(&inbox).await, [1, 2, 3, 4]);
}

#[tokio::test]
async fn a_failed_append_that_happened_all_the_same_is_known() {
    let disk = Disk::default();
    let inbox = disk.inbox().await;
    disk.writes_while_failing.store(true, Ordering::SeqCst);
    disk.fails.store(true, Ordering::SeqCst);
    inbox.append(records(0..2)).await.unwrap_err();
    disk.fails.store(false, Ordering::SeqCst);

    assert_eq!(append_at_last(&inbox, 2..4).await, 3);

    assert_eq!(inbox.usage().records, 4);
    let expected: Vec<_> =
        records(0..4).iter().map(|record| record.identity.fingerprint()).collect();
    assert_eq!(inbox.seen().await.unwrap(), [("p".into(), expected)]);
}

#[tokio::test]
async fn what_waits_for_no_disk_is_fsynced_soon_and_a_failure_of_that_is_no_secret() {
    let disk = Disk::default();
    let inbox = disk.inbox().await;
    disk.sync_fails.store(true, Ordering::SeqCst);
    inbox.append(records(0..2)).await.unwrap();

    let patience = Instant::now() + Duration::from_secs(20);
    while disk.opened.load(Ordering::SeqCst) < 2 {
        assert!(Instant::now() < patience, "the store is not opened again");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }

    assert_eq!(append_at_last(&inbox, 2..4).await, 3);
    while disk.synced.load(Ordering::SeqCst) == 0 {
        assert!(Instant::now() < patience, "nothing is fsynced");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn a_request_that_panics_is_taken_back_alone_and_the_store_goes_on() {
    let disk = Disk::default();
    let store = disk.store();
    let inbox = store.inbox("sink", SETTINGS).await.unwrap();
    inbox.append(records(0..2)).await.unwrap();
    let panics = store.writer.write::<(), _>(crate::faults::Call::BeginEpoch, |session| {
        session.tx.put(Space::State, Bytes::from_static(b"half"), "done");
        panic!("a fault of ours")
    });

    let (before, panicked, after, epoch) = tokio::join!(
        inbox.append(records(2..4)),
        panics,
        inbox.append(records(4..6)),
        store.next_epoch("files"),
    );

    let Err(StoreError::Panicked { detail, .. }) = &panicked else { panic!("{panicked:?}") };
    assert_eq!(detail, "a fault of ours");
    assert!(before.is_ok() && after.is_ok() && epoch.is_ok(), "{before:?} {after:?} {epoch:?}");
    assert_eq!(seqs(&inbox).await, [1, 2, 3, 4, 5, 6]);
    let half = store.writer.read(crate::faults::Call::ReadEpoch, |session| {
        Ok(session.tx.value(Space::State, Bytes::from_static(b"half"))?)
    });
    assert_eq!(half.await.unwrap(), None);
}

#[tokio::test]
async fn a_panic_amid_an_inboxs_work_leaves_its_books_right() {
    let disk = Disk::default();
    let store = disk.store();
    let inbox = store.inbox("sink", SETTINGS).await.unwrap();
    inbox.append(records(0..2)).await.unwrap();
    let half_done = inbox.half_done(records(2..4));

    let (panicked, appended) = tokio::join!(half_done, inbox.append(records(2..4)));

    assert!(matches!(panicked, Err(StoreError::Panicked { .. })), "{panicked:?}");
    assert_eq!(appended.unwrap().first_seq, 3);
    assert_eq!((seqs(&inbox).await, inbox.usage().records), (vec![1, 2, 3, 4], 4));
}

#[tokio::test]
async fn a_database_that_panics_is_opened_again() {
    let disk = Disk::default();
    let inbox = disk.inbox().await;
    inbox.append(records(0..2)).await.unwrap();
    disk.panics.store(true, Ordering::SeqCst);

    let failed = inbox.append(records(2..4)).await;

    assert!(matches!(failed, Err(StoreError::Database { .. })), "{failed:?}");
    assert_eq!(append_at_last(&inbox, 2..4).await, 3);
    assert_eq!(seqs(&inbox).await, [1, 2, 3, 4]);
}

#[tokio::test]
async fn the_end_of_the_thread_is_told() {
    let disk = Disk::default();
    let store = disk.store();
    let (ended, epoch) = {
        let watched = store.clone();
        (tokio::spawn(async move { watched.ended().await }), store.next_epoch("files"))
    };
    epoch.await.unwrap();
    assert!(!ended.is_finished());
    disk.reopening_panics.store(true, Ordering::SeqCst);
    disk.panics.store(true, Ordering::SeqCst);
    store.next_epoch("files").await.unwrap_err();

    tokio::time::timeout(Duration::from_secs(20), ended).await.unwrap().unwrap();

    let gone = store.next_epoch("files").await;
    assert!(matches!(gone, Err(StoreError::Gone { .. })), "{gone:?}");
}
