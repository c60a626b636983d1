//! What is left under a name: shown, taken over, thrown away.

use std::time::Duration;

use bytes::Bytes;
use danube_sidecar_core::record::Fingerprint;
use danube_sidecar_store::{
    Discarded, Estate, Holdings, LetterFilter, LetterSettings, NewLetter, Position, Store,
    StoreError,
};

use crate::support::{SETTINGS, TestClock, records, waiting};

const LETTERS: LetterSettings =
    LetterSettings { max_bytes: 1 << 20, max_age: Duration::from_secs(3600) };

fn letter(dedup_id: &str) -> NewLetter {
    NewLetter {
        dedup_id: dedup_id.to_owned(),
        topic: "/default/orders".to_owned(),
        subscription: None,
        partition: "/default/orders".to_owned(),
        offset: 1,
        key: None,
        payload: Bytes::from_static(b"payload"),
        attributes: Vec::new(),
        schema: None,
        class: "REJECT".to_owned(),
        code: String::new(),
        reason: String::new(),
        attempt: 1,
        first_failure_ms: 0,
        dead_letter_topic: None,
    }
}

/// Three records of which one is resolved, two letters, a suspicion.
async fn leave_something(store: &Store, name: &str) {
    let inbox = store.inbox(name, SETTINGS).await.unwrap();
    inbox.append(records(0..3, 10)).await.unwrap();
    inbox.resolve(vec![1]).await.unwrap();
    let letters = store.letters(name, LETTERS);
    for id in ["a", "b"] {
        letters.keep(letter(id)).await.unwrap();
    }
    store.keep_suspicion(name, Fingerprint(7), Some(Bytes::from_static(b"s"))).await.unwrap();
}

#[tokio::test]
async fn a_store_tells_what_it_holds_by_name() {
    let store = TestClock::at(1000).store();
    leave_something(&store, "old").await;
    store.inbox("empty", SETTINGS).await.unwrap();
    let epoch = store.next_epoch("source/files").await.unwrap();
    let at = |name: &str| Position { source_partition: name.to_owned(), offset: 1, metadata: None };
    store.commit_positions("source/files", epoch, &[at("a"), at("b")]).await.unwrap();
    store.commit_positions("source/files", epoch, &[at("b")]).await.unwrap();

    let held = store.holdings().await.unwrap();

    assert_eq!(held.keys().collect::<Vec<_>>(), ["old", "source/files"]);
    let old = &held["old"];
    assert_eq!((old.records, old.letters, old.suspicions), (2, 2, 1));
    assert_eq!((old.oldest_record_ms, old.oldest_letter_ms), (Some(1000), Some(1000)));
    assert!(old.record_bytes > 20 && old.letter_bytes > 14);
    let files = &held["source/files"];
    assert_eq!((files.positions, files.position_bytes), (2, 34));
    assert_eq!(files.records, 0);
}

#[tokio::test]
async fn an_heir_has_the_records_in_their_order_their_memory_and_the_letters() {
    let store = Store::in_memory().unwrap();
    leave_something(&store, "old").await;
    let seen = store.inbox("old", SETTINGS).await.unwrap().seen().await.unwrap();
    store.next_epoch("sink/old").await.unwrap();
    store.next_epoch("sink/old").await.unwrap();

    let estate = store.adopt("old", "new").await.unwrap();
    store.adopt_epoch("sink/old", "sink/new").await.unwrap();

    assert_eq!(estate, Estate { records: 2, letters: 2, suspicions: 1 });
    let inbox = store.inbox("new", SETTINGS).await.unwrap();
    let offsets: Vec<_> =
        waiting(&inbox).await.iter().map(|entry| entry.record.identity.offset).collect();
    assert_eq!(offsets, [1, 2]);
    assert_eq!(inbox.seen().await.unwrap(), seen);
    let letters = store.letters("new", LETTERS).list(&LetterFilter::default()).await.unwrap();
    let ids: Vec<_> = letters.iter().map(|kept| kept.letter.dedup_id.as_str()).collect();
    assert_eq!(ids, ["a", "b"]);
    assert_eq!(store.suspicions("new").await.unwrap().len(), 1);
    assert_eq!(store.next_epoch("sink/new").await.unwrap(), 3);
    assert_eq!(store.holdings().await.unwrap().keys().collect::<Vec<_>>(), ["new"]);
    // What is adopted is delivered and resolved like everything else.
    inbox.append(records(3..4, 10)).await.unwrap();
    inbox.resolve(waiting(&inbox).await.iter().map(|entry| entry.seq).collect()).await.unwrap();
    assert_eq!(inbox.usage().records, 0);
    assert_eq!(store.adopt("old", "new").await.unwrap(), Estate::default());
}

#[tokio::test]
async fn an_adoption_that_was_cut_off_goes_on_and_loses_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    store.inbox("old", SETTINGS).await.unwrap().append(records(0..2500, 10)).await.unwrap();
    {
        let adopting = store.adopt("old", "new");
        tokio::pin!(adopting);
        // Its first step is asked for, and nobody waits for the others.
        let cut_off = tokio::time::timeout(Duration::ZERO, &mut adopting).await;
        assert!(cut_off.is_err());
    }
    drop(store);

    let store = Store::open(dir.path()).unwrap();
    let before = store.holdings().await.unwrap();
    assert!(before["old"].records > 0 && before["new"].records > 0, "{before:?}");
    store.adopt("old", "new").await.unwrap();

    let entries = waiting(&store.inbox("new", SETTINGS).await.unwrap()).await;
    let offsets: Vec<_> = entries.iter().map(|entry| entry.record.identity.offset).collect();
    assert_eq!(offsets, (0..2500).collect::<Vec<_>>());
}

#[tokio::test]
async fn records_of_two_names_are_not_mixed() {
    let store = Store::in_memory().unwrap();
    leave_something(&store, "old").await;
    leave_something(&store, "new").await;

    let refused = store.adopt("old", "new").await.unwrap_err();

    assert!(matches!(refused, StoreError::BothHaveRecords { waiting: 2, own: 2, .. }), "{refused}");
    assert!(refused.to_string().contains("old = \"drain\""), "{refused}");
    assert_eq!(store.holdings().await.unwrap()["old"].records, 2);
}

#[tokio::test]
async fn what_is_discarded_is_gone_and_nothing_else_is() {
    let store = Store::in_memory().unwrap();
    leave_something(&store, "old").await;
    leave_something(&store, "other").await;

    let inbox_only = store.discard("other", Discarded::Inbox).await.unwrap();
    let everything = store.discard("old", Discarded::Everything).await.unwrap();

    assert_eq!(inbox_only, Estate { records: 2, letters: 0, suspicions: 0 });
    assert_eq!(everything, Estate { records: 2, letters: 2, suspicions: 1 });
    let held = store.holdings().await.unwrap();
    assert_eq!(held.keys().collect::<Vec<_>>(), ["other"]);
    let left = Holdings { letters: 2, suspicions: 1, ..Holdings::default() };
    let Holdings { letter_bytes, oldest_letter_ms, .. } = held["other"];
    assert_eq!(held["other"], Holdings { letter_bytes, oldest_letter_ms, ..left });
    let inbox = store.inbox("old", SETTINGS).await.unwrap();
    inbox.append(records(0..2, 10)).await.unwrap();
    assert_eq!(waiting(&inbox).await.len(), 2);
}
