//! Local copies of dead letters.

use std::time::Duration;

use danube_sidecar_core::record::SchemaRef;
use danube_sidecar_store::{LetterFilter, LetterSettings, Letters, NewLetter, Store};

use crate::support::TestClock;

const SETTINGS: LetterSettings =
    LetterSettings { max_bytes: 1 << 20, max_age: Duration::from_secs(3600) };

fn letter(dedup_id: &str, class: &str) -> NewLetter {
    NewLetter {
        dedup_id: dedup_id.to_owned(),
        topic: "/default/orders".to_owned(),
        subscription: Some("sub".to_owned()),
        partition: "/default/orders-part-0".to_owned(),
        offset: 7,
        key: Some(format!("key of {dedup_id}")),
        payload: vec![7; 1000].into(),
        attributes: vec![("b".to_owned(), "1".to_owned()), ("a".to_owned(), String::new())],
        schema: Some(SchemaRef { schema_id: 3, version: 1 }),
        class: class.to_owned(),
        code: "NOT_NULL".to_owned(),
        reason: "the amount is missing".to_owned(),
        attempt: 2,
        first_failure_ms: 1_700_000_000_000,
        dead_letter_topic: Some("/default/dlq-sink".to_owned()),
    }
}

async fn ids(letters: &Letters, filter: &LetterFilter) -> Vec<u64> {
    letters.list(filter).await.unwrap().iter().map(|letter| letter.id).collect()
}

#[tokio::test]
async fn a_letter_comes_back_as_it_was_kept_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let letters = Store::open(dir.path()).unwrap().letters("sink", SETTINGS);
    let id = letters.keep(letter("a", "REJECT")).await.unwrap();
    letters.published(id).await.unwrap();
    letters.replayed(id).await.unwrap();
    let kept = letters.show(id).await.unwrap().unwrap();
    drop(letters);

    let letters = Store::open(dir.path()).unwrap().letters("sink", SETTINGS);
    assert_eq!(letters.show(id).await.unwrap(), Some(kept.clone()));
    assert_eq!(kept.letter, letter("a", "REJECT"));
    assert!(kept.published && kept.replayed_at_ms.is_some());
    assert_eq!(letters.usage().letters, 1);
}

#[tokio::test]
async fn the_same_dedup_id_is_the_same_letter_replaced() {
    let letters = Store::in_memory().unwrap().letters("sink", SETTINGS);
    let id = letters.keep(letter("a", "REJECT")).await.unwrap();
    letters.published(id).await.unwrap();
    letters.keep(letter("b", "REJECT")).await.unwrap();

    assert_eq!(letters.keep(letter("a", "CRASH")).await.unwrap(), id);

    let replaced = letters.show(id).await.unwrap().unwrap();
    assert_eq!((replaced.letter.class.as_str(), replaced.published), ("CRASH", false));
    assert_eq!(letters.usage().letters, 2);
}

#[tokio::test]
async fn filters_narrow_a_list_and_a_purge() {
    let letters = Store::in_memory().unwrap().letters("sink", SETTINGS);
    for (dedup_id, class) in [("a", "REJECT"), ("b", "CRASH"), ("c", "REJECT"), ("d", "REJECT")] {
        letters.keep(letter(dedup_id, class)).await.unwrap();
    }
    let rejects = LetterFilter { class: Some("REJECT".to_owned()), ..LetterFilter::default() };
    assert_eq!(ids(&letters, &rejects).await, [1, 3, 4]);
    let two_after_one =
        LetterFilter { after_id: Some(1), limit: Some(2), ..LetterFilter::default() };
    assert_eq!(ids(&letters, &two_after_one).await, [2, 3]);
    let of_key = LetterFilter { key: Some("key of d".to_owned()), ..LetterFilter::default() };
    assert_eq!(ids(&letters, &of_key).await, [4]);
    let of_code = LetterFilter { code: Some("OTHER".to_owned()), ..LetterFilter::default() };
    assert_eq!(ids(&letters, &of_code).await, [0; 0]);

    assert_eq!(letters.purge(&rejects).await.unwrap(), 3);
    assert_eq!(ids(&letters, &LetterFilter::default()).await, [2]);
    assert_eq!((letters.usage().letters, letters.usage().evicted), (1, 0));
}

#[tokio::test]
async fn a_replay_goes_on_with_what_was_not_replayed() {
    let letters = Store::in_memory().unwrap().letters("sink", SETTINGS);
    for dedup_id in ["a", "b", "c"] {
        letters.keep(letter(dedup_id, "REJECT")).await.unwrap();
    }
    letters.replayed(1).await.unwrap();

    let left = LetterFilter { not_replayed: true, ..LetterFilter::default() };
    assert_eq!(ids(&letters, &left).await, [2, 3]);
}

#[tokio::test]
async fn the_oldest_make_room_and_are_counted() {
    let settings = LetterSettings { max_bytes: 5000, ..SETTINGS };
    let letters = Store::in_memory().unwrap().letters("sink", settings);
    for number in 0..20 {
        letters.keep(letter(&number.to_string(), "REJECT")).await.unwrap();
    }
    let usage = letters.usage();
    assert!(usage.bytes <= 5000, "{usage:?}");
    assert_eq!(usage.letters + usage.evicted, 20);
    let left = ids(&letters, &LetterFilter::default()).await;
    assert_eq!(left, ((21 - usage.letters)..=20).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_letter_above_the_budget_fails_nobody() {
    let settings = LetterSettings { max_bytes: 100, ..SETTINGS };
    let letters = Store::in_memory().unwrap().letters("sink", settings);
    letters.keep(letter("a", "REJECT")).await.unwrap();
    assert_eq!((letters.usage().letters, letters.usage().evicted), (0, 1));
    assert_eq!(letters.keep(letter("b", "REJECT")).await.unwrap(), 2);
}

#[tokio::test]
async fn old_letters_go() {
    let clock = TestClock::at(1_000_000);
    let letters = clock.store().letters("sink", SETTINGS);
    letters.keep(letter("a", "REJECT")).await.unwrap();
    clock.set(1_000_000 + 3_600_000);
    letters.keep(letter("b", "REJECT")).await.unwrap();
    assert_eq!(ids(&letters, &LetterFilter::default()).await, [1, 2]);

    clock.set(1_000_000 + 3_600_001);
    letters.keep(letter("c", "REJECT")).await.unwrap();

    assert_eq!(ids(&letters, &LetterFilter::default()).await, [2, 3]);
    assert_eq!(letters.usage().evicted, 1);
}

#[tokio::test]
async fn connectors_do_not_share_letters() {
    let store = Store::in_memory().unwrap();
    let (one, other) = (store.letters("sink", SETTINGS), store.letters("sinks", SETTINGS));
    one.keep(letter("a", "REJECT")).await.unwrap();
    other.keep(letter("b", "REJECT")).await.unwrap();
    assert_eq!(one.purge(&LetterFilter::default()).await.unwrap(), 1);
    assert_eq!(ids(&other, &LetterFilter::default()).await, [1]);
}
