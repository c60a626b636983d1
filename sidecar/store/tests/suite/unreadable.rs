//! One bad block of a table is told, and keeps nobody from what is behind it.

use std::{fs, path::Path};

use danube_sidecar_store::Store;

use crate::support::{SETTINGS, records, until, waiting_seqs};

/// A table of records is damaged in the middle; tells the directory.
async fn with_a_bad_block() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let inbox = Store::open(dir.path()).unwrap().inbox("sink", SETTINGS).await.unwrap();
    for batch in 0..40 {
        inbox.append(records(batch * 10..(batch + 1) * 10, 2000)).await.unwrap();
    }
    drop(inbox);
    // As if the journal had been full: the next start writes tables of it.
    fs::write(dir.path().join("store/1.jnl"), []).unwrap();
    let store = Store::open(dir.path()).unwrap();
    until("tables are written", || !dir.path().join("store/0.jnl").exists()).await;
    drop(store);
    let table = only_table(&dir.path().join("store/keyspaces/2/tables"));
    let mut bytes = fs::read(&table).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(table, bytes).unwrap();
    dir
}

fn only_table(folder: &Path) -> std::path::PathBuf {
    let tables: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(tables.len(), 1);
    tables.into_iter().next().unwrap()
}

#[tokio::test]
async fn what_is_behind_a_bad_block_is_read_and_what_is_in_it_is_counted() {
    let dir = with_a_bad_block().await;
    let store = Store::open(dir.path()).unwrap();
    let inbox = store.inbox("sink", SETTINGS).await.unwrap();

    let (mut found, mut after, mut errors) = (Vec::new(), 0, 0);
    loop {
        match inbox.read(after, 50, usize::MAX).await {
            Ok(entries) if entries.is_empty() => break,
            Ok(entries) => {
                found.extend(entries.iter().map(|entry| entry.seq));
                after = *found.last().unwrap();
            }
            Err(_) => errors += 1,
        }
        assert!(errors < 10, "it goes on for ever");
    }

    let unreadable = inbox.usage().unreadable;
    assert!((1..60).contains(&unreadable), "{unreadable} of 400");
    assert_eq!(found.len() as u64 + unreadable, 400);
    assert_eq!((found[0], *found.last().unwrap()), (1, 400));

    // What is read is resolved, across the bad block too, and the store goes on.
    inbox.resolve((1..=400).collect()).await.unwrap();
    assert_eq!(inbox.usage().records, unreadable);
    assert_eq!(inbox.append(records(400..401, 10)).await.unwrap().first_seq, 401);
}

#[tokio::test]
async fn a_repair_keeps_what_is_around_a_bad_block() {
    let dir = with_a_bad_block().await;

    let repaired = danube_sidecar_store::repair(dir.path(), 7).unwrap();

    assert_eq!(repaired.left.gaps, 1);
    assert!((340..400).contains(&repaired.left.records), "{:?}", repaired.left);
    let inbox = Store::open(dir.path()).unwrap().inbox("sink", SETTINGS).await.unwrap();
    let found = waiting_seqs(&inbox).await;
    assert_eq!(found.len() as u64, repaired.left.records);
    assert_eq!((found[0], *found.last().unwrap()), (1, 400));
    assert_eq!((inbox.usage().records, inbox.usage().unreadable), (found.len() as u64, 0));
}
