//! A full disk is an error to the caller, and heals without a restart.
//!
//! The disk is a small tmpfs in a mount namespace of its own, in which this test
//! binary runs one test once more.

use std::{
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

use danube_sidecar_store::{Position, Store, StoreError};

use crate::support::{SETTINGS, records, waiting};

const DISK: &str = "DISK_THAT_IS_FULL";
const BALLAST: usize = 20 << 20;
/// Mounts, and becomes the command.
const MOUNT: &str = r#"mount -t tmpfs -o size=48m tmpfs "$0" && exec "$@""#;

#[test]
fn a_full_disk_is_an_error_and_heals_without_a_restart() {
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
        .args(["disk_full::on_a_disk_that_is_full", "--exact", "--ignored", "--nocapture"])
        .env(DISK, disk.path())
        .status()
        .unwrap();
    assert!(status.success());
}

#[tokio::test]
#[ignore = "is started, on a small disk, by the test above"]
async fn on_a_disk_that_is_full() {
    let disk = std::env::var_os(DISK).expect("started by its test");
    let ballast = Path::new(&disk).join("ballast");
    std::fs::write(&ballast, vec![1; BALLAST]).unwrap();
    let store = Store::open(&Path::new(&disk).join("data")).unwrap();
    let inbox = store.inbox("sink", SETTINGS).await.unwrap();
    let epoch = store.next_epoch("files").await.unwrap();

    let mut appended = 0;
    let full = loop {
        match inbox.append(records(appended..appended + 10, 10_000)).await {
            Ok(_) => appended += 10,
            Err(error) => break error,
        }
    };
    assert!(matches!(full, StoreError::Database { .. }) && full.is_transient(), "{full}");
    assert!(appended > 100, "{appended}");
    // Reads are answered, writes are not, and nothing is counted that is not there.
    assert_eq!(waiting(&inbox).await.len() as u64, appended);
    assert_eq!(inbox.usage().records, appended);
    let position = [Position { source_partition: "a".to_owned(), offset: 1, metadata: None }];
    store.commit_positions("files", epoch, &position).await.unwrap_err();

    std::fs::remove_file(&ballast).unwrap();

    let patience = std::time::Instant::now() + Duration::from_secs(20);
    while let Err(error) = store.commit_positions("files", epoch, &position).await {
        assert!(error.is_transient() && std::time::Instant::now() < patience, "{error}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    // What was answered is there; the append that failed may be, as a whole.
    let found = waiting(&inbox).await;
    let found = found.iter().map(|entry| entry.record.identity.offset);
    assert!(found.clone().take(appended as usize).eq(0..appended));
    assert!([0, 10].contains(&(found.count() as u64 - appended)));
    let seqs = inbox.append(records(5000..5010, 10)).await.unwrap();
    assert!(seqs.first_seq > appended);
}
