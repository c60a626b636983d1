//! A damaged store is looked at, read out, and repaired: what can be read is kept.

use std::{
    fs,
    path::{Path, PathBuf},
};

use danube_sidecar_store::{Damage, Store, StoreError, check, export, repair};

use crate::{
    acknowledged::{Acknowledged, Seen},
    support::{SETTINGS, inbox_in, records, waiting, waiting_seqs},
};

async fn with_records() -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let inbox = inbox_in(dir.path()).await;
    for batch in 0..20 {
        inbox.append(records(batch * 10..(batch + 1) * 10, 100)).await.unwrap();
    }
    let journal = dir.path().join("store/0.jnl");
    (dir, journal)
}

fn ends(journal: &Path) -> Vec<usize> {
    let bytes = fs::read(journal).unwrap();
    let ends = bytes.windows(4).enumerate().filter(|(_, window)| *window == b"FJL\x03");
    ends.map(|(at, _)| at + 4).collect()
}

fn flip(path: &Path, at: usize) {
    let mut bytes = fs::read(path).unwrap();
    bytes[at] ^= 1;
    fs::write(path, bytes).unwrap();
}

#[tokio::test]
async fn a_repair_gives_up_what_cannot_be_read_and_nothing_behind_it() {
    let (dir, journal) = with_records().await;
    let ends = ends(&journal);
    flip(&journal, ends[11] + 300);
    let damaged = fs::read(&journal).unwrap();

    let repaired = repair(dir.path(), 7).unwrap();

    assert_eq!(repaired.left.records, 190);
    assert_eq!(repaired.losses.len(), 1);
    assert_eq!(fs::read(repaired.aside.join("store/0.jnl")).unwrap(), damaged);
    let inbox = inbox_in(dir.path()).await;
    let found = waiting(&inbox).await;
    assert_eq!(found.len(), 190);
    let usage = inbox.usage();
    assert_eq!((usage.records, usage.last_seq), (190, 200));
    for entry in found {
        assert_eq!(entry.record, *records(entry.seq - 1..entry.seq, 100)[0]);
    }
    // No number is used again, and nothing is wrong any more.
    assert_eq!(inbox.append(records(200..201, 1)).await.unwrap().first_seq, 201);
    drop(inbox);
    assert_eq!(check(dir.path()).unwrap().losses, []);
}

#[tokio::test]
async fn numbers_that_were_lost_are_not_used_again() {
    let (dir, journal) = with_records().await;
    let ends = ends(&journal);
    let file = fs::OpenOptions::new().write(true).open(&journal).unwrap();
    file.set_len(ends[ends.len() - 4] as u64).unwrap();

    assert!(repair(dir.path(), 7).unwrap().left.records < 200);

    let inbox = inbox_in(dir.path()).await;
    assert_eq!(inbox.append(records(0..1, 1)).await.unwrap().first_seq, 201);
}

#[test]
fn a_store_that_lost_any_one_file_is_repaired_with_all_that_the_others_hold() {
    let base = tempfile::tempdir().unwrap();
    let known = Acknowledged::make(base.path());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    for lost in ["store/version", "store/lock", "store/keyspaces/0", "store/keyspaces/2/current"] {
        let dir = tempfile::tempdir().unwrap();
        crate::corruption::copy(base.path(), dir.path());
        let path = dir.path().join(lost);
        if path.is_dir() {
            fs::remove_dir_all(path).unwrap()
        } else {
            fs::remove_file(path).unwrap()
        }

        repair(dir.path(), 7).unwrap();

        let seen = runtime.block_on(known.compare(Store::open(dir.path()).unwrap()));
        assert!(matches!(seen, Seen::All), "{lost}: {seen:?}");
    }
}

#[tokio::test]
async fn a_check_reads_all_tables_and_changes_nothing() {
    let base = tempfile::tempdir().unwrap();
    let dir = base.path().to_owned();
    tokio::task::spawn_blocking(move || Acknowledged::make(&dir)).await.unwrap();
    let whole = check(base.path()).unwrap();
    assert!(whole.losses.is_empty() && whole.tables > 5 && whole.journals == 3, "{whole:?}");
    let tables = base.path().join("store/keyspaces/2/tables");
    let table = fs::read_dir(tables).unwrap().next().unwrap().unwrap().path();
    flip(&table, 100);

    let checked = check(base.path()).unwrap();

    assert_eq!(checked.losses.len(), 1);
    assert_eq!((&checked.losses[0].file, checked.losses[0].damage), (&table, Damage::Damaged));
}

#[tokio::test]
async fn what_is_left_is_exported_as_lines_of_json() {
    let (dir, journal) = with_records().await;
    let store = Store::open(dir.path()).unwrap();
    let epoch = store.next_epoch("files").await.unwrap();
    let position = danube_sidecar_store::Position {
        source_partition: "a.log".to_owned(),
        offset: 7,
        metadata: None,
    };
    store.commit_positions("files", epoch, &[position]).await.unwrap();
    drop(store);
    flip(&journal, ends(&journal)[11] + 300);
    let mut out = Vec::new();

    let left = export(dir.path(), &mut out).unwrap();

    let lines: Vec<serde_json::Value> = String::from_utf8(out)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!((left.records, left.positions, lines.len()), (190, 1, 191));
    let of = |what: &str| lines.iter().filter(|line| line["what"] == what).collect::<Vec<_>>();
    assert_eq!(of("record")[0]["connector"], "sink");
    assert_eq!(of("record")[0]["number"], 1);
    assert_eq!(of("position")[0]["source_partition"], "a.log");
    // The store itself is as it was.
    assert!(matches!(Store::open(dir.path()), Err(StoreError::Lost { .. })));
    assert!(!dir.path().join("store.rescue").exists());
}

#[tokio::test]
async fn a_store_in_use_is_not_repaired() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let _inbox = store.inbox("sink", SETTINGS).await.unwrap();
    assert!(matches!(repair(dir.path(), 7), Err(StoreError::InUse { .. })));
    assert!(waiting_seqs(&store.inbox("sink", SETTINGS).await.unwrap()).await.is_empty());
}
