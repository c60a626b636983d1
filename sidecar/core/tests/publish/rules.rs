use std::sync::Arc;

use danube_sidecar_core::{
    publish::{Accepted, Commit, Event, Position, Publish, Settings, Violation},
    window::Limits,
};

const SETTINGS: Settings =
    Settings { window: Limits { records: 4, bytes: 100 }, max_in_flight: 3, max_record_bytes: 50 };

fn open() -> Publish<&'static str> {
    let mut publish = Publish::new(SETTINGS);
    assert_eq!(publish.poll_event(), Some(Event::Demand { records: 4, bytes: 100 }));
    publish
}

fn record(message: &'static str) -> Accepted<&'static str> {
    Accepted { topic: "/default/t".into(), key: None, position: None, bytes: 10, message }
}

fn keyed(key: &str, message: &'static str) -> Accepted<&'static str> {
    Accepted { key: Some(key.into()), ..record(message) }
}

fn positioned(source_partition: &str, offset: u64) -> Accepted<&'static str> {
    Accepted { position: Some(position(source_partition, offset)), ..record("positioned") }
}

fn position(source_partition: &str, offset: u64) -> Position {
    Position { source_partition: source_partition.into(), offset, metadata: None }
}

fn poll(publish: &mut Publish<&'static str>) -> Vec<(u64, &'static str)> {
    std::iter::from_fn(|| publish.poll_publish())
        .map(|assignment| (assignment.number, assignment.message))
        .collect()
}

#[test]
fn numbers_begin_at_one_and_have_no_holes() {
    let mut publish = open();
    let misnumbered = |expected, got| Err(Violation::Misnumbered { expected, got });
    assert_eq!(publish.accept(2, vec![record("a")]), misnumbered(1, 2));
    assert_eq!(publish.accept(1, vec![record("a"), record("b")]), Ok(()));
    assert_eq!(publish.accept(2, vec![record("c")]), misnumbered(3, 2));
    assert_eq!(publish.accept(3, vec![]), Err(Violation::Empty));
    assert_eq!(publish.accept(3, vec![record("c")]), Ok(()));
}

#[test]
fn demand_may_be_overshot_by_one_record() {
    let mut publish = open();
    let too_much = publish.accept(1, vec![record("x"); 6]);
    let exceeded = Violation::DemandExceeded { number: 6, records: 4, bytes: 100 };
    assert_eq!(too_much, Err(exceeded));
    assert_eq!(publish.uncommitted(), 0, "nothing of a refused frame is taken");
    assert_eq!(publish.accept(1, vec![record("x"); 5]), Ok(()));
}

#[test]
fn the_record_that_reaches_the_bytes_may_exceed_them() {
    let mut publish = open();
    let large = || Accepted { bytes: 90, ..record("large") };
    assert_eq!(publish.accept(1, vec![large(), large()]), Ok(()));
    let refused = publish.accept(3, vec![large()]);
    let exceeded = Violation::DemandExceeded { number: 3, records: 4, bytes: 100 };
    assert_eq!(refused, Err(exceeded));
}

#[test]
fn one_record_of_a_lane_is_in_flight() {
    let mut publish = open();
    let records = vec![keyed("a", "a1"), keyed("b", "b1"), keyed("a", "a2")];
    publish.accept(1, records).expect("in demand");
    assert_eq!(poll(&mut publish), [(1, "a1"), (2, "b1")]);
    publish.confirmed(2);
    assert_eq!(poll(&mut publish), []);
    publish.confirmed(1);
    assert_eq!(poll(&mut publish), [(3, "a2")]);
}

#[test]
fn a_lane_is_the_key_else_the_source_partition_else_the_topic() {
    let mut publish = open();
    let records = vec![
        Accepted { key: Some("k".into()), ..positioned("p", 1) },
        positioned("k", 2),
        positioned("k", 3),
        record("topic"),
    ];
    publish.accept(1, records).expect("in demand");
    let numbers: Vec<_> = poll(&mut publish).into_iter().map(|(number, _)| number).collect();
    assert_eq!(numbers, [1, 2, 4]);
}

#[test]
fn no_more_than_max_in_flight_are_in_flight() {
    let mut publish = open();
    let records = ["a", "b", "c", "d"].map(|key| keyed(key, "m"));
    publish.accept(1, records.into()).expect("in demand");
    assert_eq!((poll(&mut publish).len(), publish.in_flight()), (3, 3));
    publish.confirmed(2);
    assert_eq!((poll(&mut publish).len(), publish.in_flight()), (1, 3));
}

#[test]
fn a_position_never_passes_an_unconfirmed_record() {
    let mut publish = open();
    let records = vec![positioned("a", 10), positioned("b", 20), positioned("c", 30)];
    publish.accept(1, records).expect("in demand");
    poll(&mut publish);
    publish.confirmed(2);
    publish.confirmed(3);
    assert_eq!(publish.poll_commit(), None);
    publish.confirmed(1);
    let positions = vec![position("a", 10), position("b", 20), position("c", 30)];
    assert_eq!(publish.poll_commit(), Some(Commit { number: 3, positions }));
}

#[test]
fn committed_and_demand_wait_until_the_positions_are_durable() {
    let mut publish = open();
    publish.accept(1, vec![positioned("a", 10)]).expect("in demand");
    poll(&mut publish);
    publish.confirmed(1);
    let commit = publish.poll_commit().expect("a confirmed prefix");
    assert_eq!((publish.poll_event(), publish.settled()), (None, false));
    publish.persisted(commit.number);
    assert_eq!(publish.poll_event(), Some(Event::Committed { number: 1 }));
    assert_eq!(publish.poll_event(), Some(Event::Demand { records: 5, bytes: 110 }));
    assert_eq!((publish.poll_event(), publish.settled()), (None, true));
}

#[test]
fn one_commit_is_outstanding_and_the_next_takes_what_came_meanwhile() {
    let mut publish = open();
    publish.accept(1, vec![positioned("a", 1), positioned("a", 2)]).expect("in demand");
    poll(&mut publish);
    publish.confirmed(1);
    assert_eq!(publish.poll_commit().map(|commit| commit.number), Some(1));
    poll(&mut publish);
    publish.confirmed(2);
    assert_eq!(publish.poll_commit(), None);
    publish.persisted(1);
    let positions = vec![position("a", 2)];
    assert_eq!(publish.poll_commit(), Some(Commit { number: 2, positions }));
}

#[test]
fn records_without_a_position_advance_only_the_number() {
    let mut publish = open();
    publish.accept(1, vec![record("a")]).expect("in demand");
    poll(&mut publish);
    publish.confirmed(1);
    assert_eq!(publish.poll_commit(), Some(Commit { number: 1, positions: vec![] }));
}

#[test]
fn a_rejected_record_counts_as_confirmed_and_frees_its_lane() {
    let mut publish = open();
    let large = Accepted { bytes: 51, ..positioned("a", 1) };
    publish.accept(1, vec![large, positioned("a", 2)]).expect("in demand");
    let first = publish.poll_publish().expect("a record");
    assert!(first.oversize);
    assert_eq!(publish.poll_publish(), None);
    publish.rejected(1);
    let second = publish.poll_publish().expect("a record");
    assert_eq!((second.number, second.oversize), (2, false));
    assert_eq!(publish.poll_commit().map(|commit| commit.number), Some(1));
}

#[test]
fn confirmations_of_what_is_not_in_flight_change_nothing() {
    let mut publish = open();
    publish.accept(1, vec![record("a"), record("b")]).expect("in demand");
    for number in [0, 1, 2, 3] {
        publish.confirmed(number);
    }
    assert_eq!((publish.poll_commit(), publish.in_flight()), (None, 0));
    let topic: Arc<str> = "/default/t".into();
    assert_eq!(publish.poll_publish().map(|next| next.topic), Some(topic));
}
