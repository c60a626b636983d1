//! A disk that has hardly any room left takes no records, and is drained; a disk that
//! others have filled is an error to the caller, and heals without a restart.
//!
//! The disk is a small tmpfs in a mount namespace of its own, in which this test
//! binary runs one test once more.

use std::{
    fs::{self, File},
    io::Write as _,
    path::PathBuf,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use danube_sidecar_store::{Inbox, Position, Store, StoreError};

use crate::support::{SETTINGS, records, waiting, waiting_seqs};

const DISK: &str = "DISK_THAT_IS_FULL";
const BALLAST: usize = 20 << 20;
/// Mounts, and becomes the command.
const MOUNT: &str = r#"mount -t tmpfs -o size=48m tmpfs "$0" && exec "$@""#;

#[test]
fn a_full_disk_is_an_error_and_heals_without_a_restart() {
    on_a_small_disk("disk_full::on_a_disk_that_others_fill");
}

#[test]
fn a_disk_that_is_nearly_full_takes_no_records_and_can_be_drained() {
    on_a_small_disk("disk_full::on_a_disk_that_is_nearly_full");
}

fn on_a_small_disk(test: &str) {
    let disk = tempfile::tempdir().unwrap();
    let unshare = ["--user", "--map-root-user", "--mount", "sh", "-c"];
    let mounts = Command::new("unshare")
        .args(unshare)
        .args([MOUNT, &disk.path().to_string_lossy(), "true"])
        .stderr(Stdio::null())
        .status();
    if !mounts.is_ok_and(|status| status.success()) {
        eprintln!("skipped: this system lets nobody mount a tmpfs in a namespace");
        return;
    }
    let status = Command::new("unshare")
        .args(unshare)
        .args([MOUNT, &disk.path().to_string_lossy()])
        .arg(std::env::current_exe().unwrap())
        .args([test, "--exact", "--ignored", "--nocapture"])
        .env(DISK, disk.path())
        .status()
        .unwrap();
    assert!(status.success());
}

fn disk() -> PathBuf {
    std::env::var_os(DISK).expect("started by its test").into()
}

fn position(offset: u64, size: usize) -> [Position; 1] {
    let metadata = Some("x".repeat(size));
    [Position { source_partition: "a".to_owned(), offset, metadata }]
}

/// Appends until the inbox takes no more.
async fn fill(inbox: &Inbox, from: u64) -> (u64, StoreError) {
    let mut appended = from;
    loop {
        match inbox.append(records(appended..appended + 10, 10_000)).await {
            Ok(_) => appended += 10,
            Err(error) => return (appended, error),
        }
    }
}

#[tokio::test]
#[ignore = "is started, on a small disk, by the test above"]
async fn on_a_disk_that_is_nearly_full() {
    let store = Store::open(&disk().join("data")).unwrap();
    let inbox = store.inbox("sink", SETTINGS).await.unwrap();
    let (mut appended, mut round) = (0, 0);
    // More, all in all, than the disk has.
    while appended * 10_000 < 60 << 20 {
        round += 1;
        let (now, full) = fill(&inbox, appended).await;
        assert!(matches!(full, StoreError::DiskLow { .. }) && full.is_transient(), "{full}");
        assert!(now - appended > 100, "only {} in round {round}", now - appended);
        appended = now;

        // All that is no record to come has its room: a session, its positions, resolutions.
        let epoch = store.next_epoch("files").await.unwrap();
        store.commit_positions("files", epoch, &position(round, 10)).await.unwrap();
        let found = waiting(&inbox).await;
        assert_eq!(found.last().unwrap().record.identity.offset + 1, appended);
        for entries in found.chunks(50) {
            inbox.resolve(entries.iter().map(|entry| entry.seq).collect()).await.unwrap();
        }
        assert_eq!(inbox.usage().records, 0);

        let patience = Instant::now() + Duration::from_secs(30);
        while let Err(error) = inbox.append(records(appended..appended + 10, 10_000)).await {
            assert!(matches!(error, StoreError::DiskLow { .. }), "{error}");
            assert!(Instant::now() < patience, "the room does not come back in round {round}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        appended += 10;
    }
}

/// Takes all that is left, as another program would.
fn fill_disk(file: &str) {
    let mut file = File::create(disk().join(file)).unwrap();
    while file.write_all(&[1; 4096]).is_ok() {}
}

#[tokio::test]
#[ignore = "is started, on a small disk, by the test above"]
async fn on_a_disk_that_others_fill() {
    let data_dir = disk().join("data");
    let store = Store::open(&data_dir).unwrap();
    let held = data_dir.join("store.reserve");
    wait_for(|| held.exists()).await;
    fs::write(disk().join("ballast"), vec![1; BALLAST]).unwrap();
    let inbox = store.inbox("sink", SETTINGS).await.unwrap();
    let epoch = store.next_epoch("files").await.unwrap();
    let (appended, full) = fill(&inbox, 0).await;
    assert!(matches!(full, StoreError::DiskLow { .. }), "{full}");

    // The store had kept some room for this.
    fill_disk("others");
    // What it was writing at that moment may have failed.
    heals(&store, epoch).await;
    for offset in 0..50 {
        store.commit_positions("files", epoch, &position(offset, 10_000)).await.unwrap();
    }
    inbox.resolve(vec![1, 2]).await.unwrap();
    assert!(!held.exists());

    fill_disk("more of others");
    let failed = loop {
        let position = position(50, 10_000);
        match store.commit_positions("files", epoch, &position).await {
            Ok(()) => {}
            Err(error) => break error,
        }
    };
    assert!(matches!(failed, StoreError::Database { .. }) && failed.is_transient(), "{failed}");
    // Reads are answered, writes are not, and nothing is counted that is not there.
    assert_eq!(waiting(&inbox).await.len() as u64, appended - 2);
    assert_eq!(inbox.usage().records, appended - 2);

    for file in ["ballast", "others", "more of others"] {
        fs::remove_file(disk().join(file)).unwrap();
    }
    heals(&store, epoch).await;
    assert_eq!(waiting_seqs(&inbox).await, (3..=appended).collect::<Vec<_>>());
    let at = inbox.append(records(5000..5010, 10)).await.unwrap();
    assert!(at.first_seq > appended);
    wait_for(|| held.exists()).await;
}

async fn heals(store: &Store, epoch: u64) {
    let patience = Instant::now() + Duration::from_secs(20);
    while let Err(error) = store.commit_positions("files", epoch, &position(51, 10)).await {
        assert!(error.is_transient() && Instant::now() < patience, "{error}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn wait_for(mut condition: impl FnMut() -> bool) {
    crate::support::until("the room is kept", &mut condition).await;
}
