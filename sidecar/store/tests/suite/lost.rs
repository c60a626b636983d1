//! A store that lacks what it had answered says so, and does not begin.

use std::{
    fs,
    path::{Path, PathBuf},
};

use danube_sidecar_store::{Damage, Loss, Store, StoreError};

use crate::support::{SETTINGS, inbox_in, records, waiting_seqs};

/// A directory with 200 records, ten in each commit.
async fn with_records() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let inbox = inbox_in(dir.path()).await;
    for batch in 0..20 {
        inbox.append(records(batch * 10..(batch + 1) * 10, 100)).await.unwrap();
    }
    dir
}

fn journal(dir: &Path) -> PathBuf {
    dir.join("store").join("0.jnl")
}

/// Where each commit of the journal ends.
fn ends(journal: &Path) -> Vec<u64> {
    let bytes = fs::read(journal).unwrap();
    let ends = bytes.windows(4).enumerate().filter(|(_, window)| *window == b"FJL\x03");
    ends.map(|(at, _)| at as u64 + 4).collect()
}

fn loss(dir: &Path) -> (String, Loss) {
    let error = Store::open(dir).unwrap_err();
    assert!(!error.is_transient());
    let message = error.to_string();
    let StoreError::Lost { loss, .. } = error else { panic!("{message}") };
    (message, (*loss).clone())
}

fn flip(path: &Path, at: u64) {
    let mut bytes = fs::read(path).unwrap();
    bytes[at as usize] ^= 1;
    fs::write(path, bytes).unwrap();
}

#[tokio::test]
async fn a_flipped_byte_of_the_journal_is_told_with_file_offset_records_and_remedy() {
    let dir = with_records().await;
    let journal = journal(dir.path());
    let ends = ends(&journal);
    flip(&journal, ends[11] + 60);
    let before = fs::read(&journal).unwrap();

    let (message, loss) = loss(dir.path());

    assert_eq!((&loss.file, loss.offset), (&journal, Some(ends[11])));
    let (first, last) = loss.commits.unwrap();
    assert_eq!(loss.readable_behind, last - first, "{loss:?}");
    assert_eq!(loss.connectors.len(), 1, "{loss:?}");
    assert_eq!(loss.connectors[0].numbers.1, 200, "{loss:?}");
    for part in ["store check", "store repair", "connector \"sink\"", "is damaged at byte"] {
        assert!(message.contains(part), "{message}");
    }
    assert_eq!(fs::read(&journal).unwrap(), before, "the file is as it was");
}

#[tokio::test]
async fn a_journal_that_ends_early_is_told() {
    let dir = with_records().await;
    let journal = journal(dir.path());
    let ends = ends(&journal);
    let file = fs::OpenOptions::new().write(true).open(&journal).unwrap();
    file.set_len(ends[ends.len() - 3]).unwrap();

    let (message, loss) = loss(dir.path());

    assert_eq!(loss.damage, Damage::EndsEarly, "{message}");
    assert!(message.contains("records of connector \"sink\""), "{message}");
}

#[tokio::test]
async fn a_journal_that_was_deleted_is_put_back_and_both_names_gone_is_told() {
    let dir = with_records().await;
    fs::remove_file(journal(dir.path())).unwrap();

    let inbox = inbox_in(dir.path()).await;
    assert_eq!(waiting_seqs(&inbox).await, (1..=200).collect::<Vec<_>>());
    drop(inbox);

    fs::remove_file(journal(dir.path())).unwrap();
    fs::remove_dir_all(dir.path().join("store.journals")).unwrap();
    let (message, _) = loss(dir.path());
    assert!(message.contains("0.jnl"), "{message}");
}

#[tokio::test]
async fn a_manifest_that_is_gone_is_told_and_no_file_goes_with_it() {
    for keyspace in 0..4 {
        let dir = with_records().await;
        let folder = dir.path().join(format!("store/keyspaces/{keyspace}"));
        fs::remove_file(folder.join("current")).unwrap();
        let before = fs::read_dir(&folder).unwrap().count();

        let (message, loss) = loss(dir.path());

        assert_eq!(
            (loss.file, loss.damage),
            (folder.join("current"), Damage::Missing),
            "{message}"
        );
        assert_eq!(fs::read_dir(&folder).unwrap().count(), before);
    }
}

#[tokio::test]
async fn a_commit_that_was_not_finished_is_cut_and_nothing_is_told() {
    let dir = with_records().await;
    let journal = journal(dir.path());
    let end = *ends(&journal).last().unwrap();
    let mut bytes = fs::read(&journal).unwrap();
    bytes.truncate(end as usize);
    // What a kill leaves of a commit: its beginning.
    let torn = bytes[..300].to_vec();
    bytes.extend(torn);
    bytes.resize(bytes.len() + 10_000, 0);
    fs::write(&journal, bytes).unwrap();

    let inbox = Store::open(dir.path()).unwrap().inbox("sink", SETTINGS).await.unwrap();
    assert_eq!(waiting_seqs(&inbox).await, (1..=200).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_store_of_an_older_version_is_taken_on() {
    let dir = with_records().await;
    fs::remove_file(dir.path().join("store.witness")).unwrap();
    fs::remove_dir_all(dir.path().join("store.journals")).unwrap();
    fs::write(dir.path().join("store.format"), "1").unwrap();

    let inbox = inbox_in(dir.path()).await;
    assert_eq!(waiting_seqs(&inbox).await, (1..=200).collect::<Vec<_>>());
    drop(inbox);

    assert_eq!(fs::read_to_string(dir.path().join("store.format")).unwrap(), "2");
    flip(&journal(dir.path()), 1000);
    loss(dir.path());
}

#[tokio::test]
async fn a_second_process_touches_nothing_of_a_store_in_use() {
    let dir = with_records().await;
    let store = Store::open(dir.path()).unwrap();
    let refused = Store::open(dir.path());
    assert!(matches!(refused, Err(StoreError::InUse { .. })), "{refused:?}");
    drop(store);
}

#[tokio::test]
async fn a_first_journal_that_lost_all_it_had_is_told() {
    let dir = with_records().await;
    let (first, second) = (journal(dir.path()), dir.path().join("store/1.jnl"));
    let bytes = fs::read(&first).unwrap();
    let middle = ends(&first)[10] as usize;
    fs::write(&second, &bytes[middle..]).unwrap();
    fs::write(&first, []).unwrap();
    fs::remove_dir_all(dir.path().join("store.journals")).unwrap();

    let (message, loss) = loss(dir.path());

    assert_eq!((loss.file, loss.offset), (first, Some(0)), "{message}");
    assert!(loss.readable_behind > 5, "{message}");
}
