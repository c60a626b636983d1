//! The store keeps what it was told, also when the process dies without notice.

use std::path::Path;

use danube_sidecar_core::record::Fingerprint;
use danube_sidecar_store::{MAX_POSITION_BYTES, Position, Store, StoreError};

fn position(source_partition: &str, offset: u64) -> Position {
    Position { source_partition: source_partition.to_owned(), offset, metadata: None }
}

/// What a process that is killed now would leave behind.
fn as_left_by_a_kill(data_dir: &Path) -> tempfile::TempDir {
    let left = tempfile::tempdir().unwrap();
    copy(data_dir, left.path());
    left
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let copied = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &copied);
        } else {
            std::fs::copy(entry.path(), copied).unwrap();
        }
    }
}

#[tokio::test]
async fn positions_outlive_a_clean_close() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let epoch = store.next_epoch("files").await.unwrap();
    let with_metadata =
        Position { metadata: Some("{\"inode\":4}".to_owned()), ..position("a.log", 7) };
    let committed = [with_metadata, position("b.log", 9)];
    store.commit_positions("files", epoch, &committed).await.unwrap();
    drop(store);

    let store = Store::open(dir.path()).unwrap();
    assert_eq!(store.positions("files").await.unwrap(), committed);
}

#[tokio::test]
async fn what_was_answered_outlives_a_kill() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let epoch = store.next_epoch("files").await.unwrap();
    store.commit_positions("files", epoch, &[position("a.log", 7)]).await.unwrap();
    store.keep_consumer_id("sub@/default/orders", 42).await.unwrap();
    store.keep_contiguous_offset("sub", "/default/orders", 12).await.unwrap();
    let left = as_left_by_a_kill(dir.path());

    let survivor = Store::open(left.path()).unwrap();
    assert_eq!(survivor.positions("files").await.unwrap(), [position("a.log", 7)]);
    assert_eq!(survivor.consumer_id("sub@/default/orders").await.unwrap(), Some(42));
    assert_eq!(survivor.contiguous_offset("sub", "/default/orders").await.unwrap(), Some(12));
    assert!(survivor.next_epoch("files").await.unwrap() > epoch);
}

#[tokio::test]
async fn epochs_grow_across_restarts() {
    let dir = tempfile::tempdir().unwrap();
    let mut seen = Vec::new();
    for _ in 0..3 {
        let store = Store::open(dir.path()).unwrap();
        seen.push(store.next_epoch("files").await.unwrap());
    }
    assert_eq!(seen, [1, 2, 3]);
}

#[tokio::test]
async fn a_stale_epoch_moves_no_position() {
    let store = Store::in_memory().unwrap();
    let old = store.next_epoch("files").await.unwrap();
    let new = store.next_epoch("files").await.unwrap();
    store.commit_positions("files", new, &[position("a.log", 5)]).await.unwrap();

    let refused = store.commit_positions("files", old, &[position("a.log", 99)]).await;

    assert!(
        matches!(refused, Err(StoreError::StaleEpoch { epoch, latest, .. }) if epoch == old && latest == new),
        "{refused:?}"
    );
    assert_eq!(store.positions("files").await.unwrap(), [position("a.log", 5)]);
}

#[tokio::test]
async fn connectors_with_similar_names_do_not_share_positions() {
    let store = Store::in_memory().unwrap();
    for (connector, offset) in [("file", 1), ("files", 2), ("filest", 3)] {
        let epoch = store.next_epoch(connector).await.unwrap();
        store.commit_positions(connector, epoch, &[position("", offset)]).await.unwrap();
    }
    assert_eq!(store.positions("files").await.unwrap(), [position("", 2)]);
    assert_eq!(store.positions("nobody").await.unwrap(), []);
}

#[tokio::test]
async fn a_commit_leaves_the_other_source_partitions_alone() {
    let store = Store::in_memory().unwrap();
    let epoch = store.next_epoch("files").await.unwrap();
    store.commit_positions("files", epoch, &[position("a", 1), position("b", 1)]).await.unwrap();
    store.commit_positions("files", epoch, &[position("b", 2)]).await.unwrap();
    assert_eq!(store.positions("files").await.unwrap(), [position("a", 1), position("b", 2)]);
}

#[tokio::test]
async fn a_store_held_by_another_process_is_named_with_the_remedy() {
    let dir = tempfile::tempdir().unwrap();
    let _held = Store::open(dir.path()).unwrap();

    let message = Store::open(dir.path()).unwrap_err().to_string();

    assert!(message.contains(dir.path().to_str().unwrap()), "{message}");
    assert!(message.contains("stop the other sidecar"), "{message}");
}

#[tokio::test]
async fn a_data_dir_that_is_a_file_is_named_with_the_remedy() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let message = Store::open(file.path()).unwrap_err().to_string();
    assert!(message.contains(file.path().to_str().unwrap()), "{message}");
    assert!(message.contains("may create and write"), "{message}");
}

#[tokio::test]
async fn a_store_of_a_newer_format_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    drop(Store::open(dir.path()).unwrap());
    std::fs::write(dir.path().join("store.format"), "3").unwrap();

    let refused = Store::open(dir.path());

    assert!(
        matches!(refused, Err(StoreError::Format { found: 3, supported: 2, .. })),
        "{refused:?}"
    );
}

#[tokio::test]
async fn replaced_positions_begin_a_new_epoch() {
    let store = Store::in_memory().unwrap();
    let epoch = store.next_epoch("files").await.unwrap();
    store.commit_positions("files", epoch, &[position("a", 1), position("b", 1)]).await.unwrap();

    store.replace_positions("files", &[position("b", 9)]).await.unwrap();

    assert_eq!(store.positions("files").await.unwrap(), [position("b", 9)]);
    let stale = store.commit_positions("files", epoch, &[position("b", 2)]).await;
    assert!(matches!(stale, Err(StoreError::StaleEpoch { .. })), "{stale:?}");
}

#[tokio::test]
async fn suspicions_are_kept_until_they_are_cleared() {
    let store = Store::in_memory().unwrap();
    let (one, other) = (Fingerprint(1), Fingerprint(u128::MAX));
    store.keep_suspicion("sink", one, Some("crashed".into())).await.unwrap();
    store.keep_suspicion("sink", other, Some("twice".into())).await.unwrap();
    store.keep_suspicion("sinks", one, Some("not ours".into())).await.unwrap();

    store.keep_suspicion("sink", one, None).await.unwrap();

    assert_eq!(store.suspicions("sink").await.unwrap(), [(other, "twice".into())]);
}

#[tokio::test]
async fn callers_at_the_same_time_share_commits_and_lose_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let mut writes = tokio::task::JoinSet::new();
    for id in 0..500 {
        let store = store.clone();
        writes.spawn(async move { store.keep_consumer_id(&format!("key-{id}"), id).await });
    }
    while let Some(write) = writes.join_next().await {
        write.unwrap().unwrap();
    }
    drop(store);

    let store = Store::open(dir.path()).unwrap();
    for id in 0..500 {
        assert_eq!(store.consumer_id(&format!("key-{id}")).await.unwrap(), Some(id));
    }
}

#[tokio::test]
async fn a_dropped_caller_does_not_disturb_its_neighbours() {
    let store = Store::in_memory().unwrap();
    tokio::select! {
        biased;
        _ = store.keep_consumer_id("a", 1) => {}
        () = std::future::ready(()) => {}
    }
    store.keep_consumer_id("b", 2).await.unwrap();
    assert_eq!(store.consumer_id("a").await.unwrap(), Some(1));
    assert_eq!(store.consumer_id("b").await.unwrap(), Some(2));
}

#[tokio::test]
async fn names_of_any_length_are_kept_and_come_back() {
    let dir = tempfile::tempdir().unwrap();
    let long = |letter: &str| letter.repeat(1 << 20);
    let store = Store::open(dir.path()).unwrap();
    let epoch = store.next_epoch(&long("c")).await.unwrap();
    let metadata = Some("inode".to_owned());
    let committed = [
        Position { metadata, ..position(&long("a"), 7) },
        position("b", 8),
        position(&long("c"), 9),
    ];
    store.commit_positions(&long("c"), epoch, &committed).await.unwrap();
    store.keep_consumer_id(&long("k"), 42).await.unwrap();
    store.keep_contiguous_offset(&long("s"), &long("p"), 12).await.unwrap();
    drop(store);

    let store = Store::open(dir.path()).unwrap();
    let mut found = store.positions(&long("c")).await.unwrap();
    found.sort_by_key(|position| position.offset);
    assert_eq!(found, committed);
    assert_eq!(store.consumer_id(&long("k")).await.unwrap(), Some(42));
    assert_eq!(store.contiguous_offset(&long("s"), &long("p")).await.unwrap(), Some(12));
    assert_eq!(store.contiguous_offset(&long("s"), &long("q")).await.unwrap(), None);
}

#[tokio::test]
async fn positions_of_a_source_have_a_bound_together_and_what_is_there_may_move() {
    let store = Store::in_memory().unwrap();
    let epoch = store.next_epoch("files").await.unwrap();
    let large = |name: &str, offset| Position {
        metadata: Some("m".repeat(60 << 10)),
        ..position(name, offset)
    };
    let many = (MAX_POSITION_BYTES / (61 << 10)).min(600);
    let first: Vec<_> = (0..many).map(|n| large(&format!("{n}"), 1)).collect();
    store.commit_positions("files", epoch, &first).await.unwrap();
    let more: Vec<_> = (many..2 * many).map(|n| large(&format!("{n}"), 1)).collect();

    let refused = store.commit_positions("files", epoch, &more).await.unwrap_err();

    assert!(matches!(refused, StoreError::PositionsFull { .. }), "{refused}");
    assert_eq!(store.positions("files").await.unwrap().len(), first.len());
    let moved: Vec<_> = first.iter().map(|at| Position { offset: 2, ..at.clone() }).collect();
    store.commit_positions("files", epoch, &moved).await.unwrap();
    store.replace_positions("files", &moved[..1]).await.unwrap();
    let epoch = store.epoch("files").await.unwrap();
    store.commit_positions("files", epoch, &more[..5]).await.unwrap();
}
