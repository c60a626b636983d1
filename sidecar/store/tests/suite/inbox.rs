//! The rules of an inbox.

use std::{sync::Arc, time::Duration};

use danube_sidecar_core::record::Record;
use danube_sidecar_store::{Inbox, InboxSettings, ReplayFrom, Store, StoreError};

use crate::support::{
    SETTINGS, TestClock, disk_usage, inbox_in, record_of, records, until, waiting, waiting_seqs,
};

const RETAINING: InboxSettings = InboxSettings { retain: Duration::from_secs(60), ..SETTINGS };

async fn resolve_all(inbox: &Inbox) {
    inbox.resolve(waiting_seqs(inbox).await).await.unwrap();
}

#[tokio::test]
async fn records_come_back_in_order_and_unchanged_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let inbox = inbox_in(dir.path()).await;
    let appended = records(0..300, 100);
    assert_eq!(inbox.append(appended[..100].to_vec()).await.unwrap().first_seq, 1);
    assert_eq!(inbox.append(appended[100..].to_vec()).await.unwrap().first_seq, 101);
    let usage = inbox.usage();
    drop(inbox);

    let inbox = inbox_in(dir.path()).await;
    let read = waiting(&inbox).await;
    assert_eq!(
        read.iter().map(|entry| entry.seq).collect::<Vec<_>>(),
        (1..=300).collect::<Vec<_>>()
    );
    let read: Vec<Arc<Record>> = read.into_iter().map(|entry| Arc::new(entry.record)).collect();
    assert_eq!(read, appended);
    assert_eq!(inbox.usage(), usage);
    assert!(usage.bytes > 300 * 100 && usage.oldest_ms.is_some(), "{usage:?}");
}

#[tokio::test]
async fn a_number_is_never_used_again() {
    let dir = tempfile::tempdir().unwrap();
    for round in 0..3 {
        let inbox = inbox_in(dir.path()).await;
        let at = inbox.append(records(0..10, 10)).await.unwrap();
        assert_eq!(at.first_seq, round * 10 + 1);
        resolve_all(&inbox).await;
        assert_eq!(inbox.usage().bytes, 0);
    }
}

#[tokio::test]
async fn only_what_is_unresolved_is_read() {
    let inbox = Store::in_memory().unwrap().inbox("sink", SETTINGS).await.unwrap();
    inbox.append(records(0..10, 10)).await.unwrap();
    inbox.resolve(vec![9, 1, 2, 5, 5, 99]).await.unwrap();
    inbox.resolve(vec![5, 1]).await.unwrap();

    assert_eq!(waiting_seqs(&inbox).await, [3, 4, 6, 7, 8, 10]);
    assert_eq!(inbox.usage().records, 6);
}

#[tokio::test]
async fn a_read_is_bounded_by_records_and_by_bytes() {
    let inbox = Store::in_memory().unwrap().inbox("sink", SETTINGS).await.unwrap();
    inbox.append(records(0..10, 1000)).await.unwrap();
    assert_eq!(inbox.read(0, 3, usize::MAX).await.unwrap().len(), 3);
    assert_eq!(inbox.read(0, 10, 2500).await.unwrap().len(), 3);
    assert_eq!(inbox.read(0, 10, 1).await.unwrap().len(), 1);
    assert_eq!(inbox.read(8, 10, usize::MAX).await.unwrap()[0].seq, 9);
}

#[tokio::test]
async fn a_full_inbox_takes_nothing_until_something_is_resolved() {
    let settings = InboxSettings { max_bytes: 10_000, ..SETTINGS };
    let inbox = Store::in_memory().unwrap().inbox("sink", settings).await.unwrap();
    inbox.append(records(0..8, 1000)).await.unwrap();
    let before = inbox.usage();

    let full = inbox.append(records(8..12, 1000)).await;

    assert!(
        matches!(&full, Err(error @ StoreError::InboxFull { .. }) if error.is_transient()),
        "{full:?}"
    );
    assert_eq!(inbox.usage(), before);
    inbox.resolve(vec![3, 4, 5]).await.unwrap();
    assert_eq!(inbox.append(records(8..12, 1000)).await.unwrap().first_seq, 9);
}

#[tokio::test]
async fn one_record_always_passes_an_empty_inbox() {
    let settings = InboxSettings { max_bytes: 100, ..SETTINGS };
    let inbox = Store::in_memory().unwrap().inbox("sink", settings).await.unwrap();
    assert!(inbox.append(records(0..2, 1000)).await.is_err());
    inbox.append(records(0..1, 1000)).await.unwrap();
    assert!(inbox.append(records(1..2, 1000)).await.is_err());
}

#[tokio::test]
async fn an_append_moves_the_contiguous_offsets() {
    let store = Store::in_memory().unwrap();
    let inbox = store.inbox("sink", SETTINGS).await.unwrap();
    let batch = [("p-0", 4), ("p-1", 8), ("p-0", 5)];
    let batch = batch.map(|(partition, offset)| Arc::new(record_of(partition, offset, 1)));
    inbox.append(batch.to_vec()).await.unwrap();
    assert_eq!(store.contiguous_offset("sub", "p-0").await.unwrap(), Some(5));
    assert_eq!(store.contiguous_offset("sub", "p-1").await.unwrap(), Some(8));
}

#[tokio::test]
async fn what_was_seen_is_remembered_after_it_is_resolved() {
    let dir = tempfile::tempdir().unwrap();
    let inbox = inbox_in(dir.path()).await;
    let appended = records(0..50, 1);
    inbox.append(appended.clone()).await.unwrap();
    inbox.append(vec![Arc::new(record_of("other", 3, 1))]).await.unwrap();
    resolve_all(&inbox).await;
    drop(inbox);

    let inbox = inbox_in(dir.path()).await;
    let seen = inbox.seen().await.unwrap();
    let expected: Vec<_> = appended.iter().map(|record| record.identity.fingerprint()).collect();
    assert_eq!(seen[0], ("/default/orders-part-0".into(), expected));
    assert_eq!(seen[1].0.as_ref(), "other");
}

#[tokio::test]
async fn the_last_ten_thousand_of_a_partition_are_remembered() {
    let inbox = Store::in_memory().unwrap().inbox("sink", SETTINGS).await.unwrap();
    for batch in 0..41 {
        inbox.append(records(batch * 300..(batch + 1) * 300, 0)).await.unwrap();
    }
    let seen = inbox.seen().await.unwrap();
    let last = records(41 * 300 - 10_000..41 * 300, 0);
    let last: Vec<_> = last.iter().map(|record| record.identity.fingerprint()).collect();
    assert_eq!(seen[0].1, last);
}

#[tokio::test]
async fn resolved_records_are_retained_for_a_while() {
    let clock = TestClock::at(1_000_000);
    let inbox = clock.store().inbox("sink", RETAINING).await.unwrap();
    inbox.append(records(0..10, 10)).await.unwrap();
    inbox.resolve((1..=6).collect()).await.unwrap();
    assert_eq!((inbox.usage().records, inbox.usage().retained_records), (4, 6));
    clock.set(1_000_000 + 59_999);
    inbox.resolve(vec![7]).await.unwrap();
    assert_eq!(inbox.usage().retained_records, 7);

    clock.set(1_000_000 + 60_000);
    inbox.append(records(10..11, 10)).await.unwrap();

    assert_eq!(inbox.usage().retained_records, 1);
    assert_eq!(waiting_seqs(&inbox).await, [8, 9, 10, 11]);
}

#[tokio::test]
async fn a_clock_that_jumps_back_ends_no_retention_early() {
    let clock = TestClock::at(1_000_000);
    let inbox = clock.store().inbox("sink", RETAINING).await.unwrap();
    inbox.append(records(0..2, 10)).await.unwrap();
    inbox.resolve(vec![1]).await.unwrap();
    clock.set(0);
    inbox.resolve(vec![2]).await.unwrap();
    clock.set(1_000_000 + 59_999);
    inbox.append(records(2..3, 10)).await.unwrap();
    assert_eq!(inbox.usage().retained_records, 2);
}

#[tokio::test]
async fn what_is_retained_makes_room_for_intake() {
    let settings = InboxSettings { max_bytes: 10_000, ..RETAINING };
    let inbox = Store::in_memory().unwrap().inbox("sink", settings).await.unwrap();
    for round in 0..20 {
        inbox.append(records(round * 4..round * 4 + 4, 1000)).await.unwrap();
        resolve_all(&inbox).await;
    }
    let usage = inbox.usage();
    assert!(usage.retained_records >= 4 && usage.retained_bytes <= 10_000, "{usage:?}");
}

#[tokio::test]
async fn a_store_sweeps_by_itself() {
    let dir = tempfile::tempdir().unwrap();
    let settings = InboxSettings { retain: Duration::from_millis(1), ..SETTINGS };
    let inbox = Store::open(dir.path()).unwrap().inbox("sink", settings).await.unwrap();
    inbox.append(records(0..10, 10)).await.unwrap();
    inbox.resolve((1..=10).collect()).await.unwrap();
    until("nothing is retained", || inbox.usage().retained_records == 0).await;
}

#[tokio::test]
async fn a_replay_offers_what_is_retained_behind_what_waits() {
    let clock = TestClock::at(1_000);
    let inbox = clock.store().inbox("sink", RETAINING).await.unwrap();
    inbox.append(records(0..3, 10)).await.unwrap();
    clock.set(2_000);
    inbox.append(records(3..6, 10)).await.unwrap();
    inbox.resolve(vec![1, 2, 3, 5]).await.unwrap();

    assert_eq!(inbox.replay(ReplayFrom::Time(2_000)).await.unwrap(), 1);
    assert_eq!(waiting_seqs(&inbox).await, [4, 6, 7]);
    assert_eq!(inbox.replay(ReplayFrom::Seq(2)).await.unwrap(), 2);

    let offered = waiting(&inbox).await;
    let offered: Vec<_> = offered
        .iter()
        .map(|entry| (entry.seq, entry.record.identity.offset, entry.replayed, entry.appended_ms))
        .collect();
    let expected = [
        (4, 3, false, 2_000),
        (6, 5, false, 2_000),
        (7, 4, true, 2_000),
        (8, 1, true, 1_000),
        (9, 2, true, 1_000),
    ];
    assert_eq!(offered, expected);
    assert_eq!(inbox.usage().retained_records, 1);
}

#[tokio::test]
async fn a_replay_of_many_ends() {
    let inbox = Store::in_memory().unwrap().inbox("sink", RETAINING).await.unwrap();
    inbox.append(records(0..5000, 1)).await.unwrap();
    resolve_all(&inbox).await;
    assert_eq!(inbox.replay(ReplayFrom::Seq(0)).await.unwrap(), 5000);
    assert_eq!(waiting_seqs(&inbox).await, (5001..=10_000).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_stuck_record_is_found_behind_many_that_are_retained() {
    let inbox = Store::in_memory().unwrap().inbox("sink", RETAINING).await.unwrap();
    inbox.append(records(0..30_000, 0)).await.unwrap();
    inbox.resolve((2..30_000).collect()).await.unwrap();
    assert_eq!(waiting_seqs(&inbox).await, [1, 30_000]);
    inbox.resolve(vec![1]).await.unwrap();
    assert_eq!(waiting_seqs(&inbox).await, [30_000]);
}

#[tokio::test]
async fn connectors_do_not_share_records() {
    let store = Store::in_memory().unwrap();
    let one = store.inbox("sink", SETTINGS).await.unwrap();
    let other = store.inbox("sinks", SETTINGS).await.unwrap();
    one.append(records(0..5, 1)).await.unwrap();
    assert_eq!(other.append(records(0..2, 1)).await.unwrap().first_seq, 1);
    resolve_all(&one).await;
    assert_eq!(waiting_seqs(&other).await, [1, 2]);
}

#[tokio::test]
async fn callers_at_the_same_time_get_numbers_of_their_own() {
    let dir = tempfile::tempdir().unwrap();
    let inbox = inbox_in(dir.path()).await;
    let mut appends = tokio::task::JoinSet::new();
    for caller in 0..100 {
        let inbox = inbox.clone();
        appends.spawn(async move {
            let batch = records(caller * 3..caller * 3 + 3, 10);
            (inbox.append(batch.clone()).await.unwrap().first_seq, batch)
        });
    }
    let appended = appends.join_all().await;
    let read = waiting(&inbox).await;
    assert_eq!(read.len(), 300);
    for (first_seq, batch) in appended {
        let place = usize::try_from(first_seq).unwrap() - 1;
        for (entry, record) in read[place..].iter().zip(batch) {
            assert_eq!(entry.record, *record);
        }
    }
}

#[tokio::test]
async fn resolved_records_give_their_room_back_to_the_disk() {
    let dir = tempfile::tempdir().unwrap();
    let inbox = inbox_in(dir.path()).await;
    for batch in 0..40 {
        inbox.append(records(batch * 64..(batch + 1) * 64, 64 << 10)).await.unwrap();
    }
    let full = disk_usage(dir.path());
    assert!(full > 160 << 20, "{full}");

    inbox.resolve((1..=40 * 64).collect()).await.unwrap();

    until("the disk has room again", || disk_usage(dir.path()) < 100 << 20).await;
}
