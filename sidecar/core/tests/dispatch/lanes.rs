use danube_sidecar_core::{
    dispatch::{Ordering, Settings},
    outcome::{Outcome, Resolution},
};

use crate::support::*;

#[test]
fn records_of_one_key_go_in_one_batch_and_in_order() {
    let mut bench = Bench::new(settings());
    let worker = bench.join(worker());
    bench.admit(Some("a"), 0..3);
    assert_eq!(bench.offered(worker), [(0, 1), (1, 1), (2, 1)]);
}

#[test]
fn keys_take_turns() {
    let mut bench = Bench::new(settings());
    let worker = bench.join(window(4));
    bench.admit(Some("a"), 0..3);
    bench.admit(Some("b"), 3..5);
    assert_eq!(bench.offered(worker), [(0, 1), (3, 1), (1, 1), (4, 1)]);
}

#[test]
fn a_retry_holds_its_lane_while_other_lanes_flow() {
    let mut bench = Bench::new(settings());
    let worker = bench.join(worker());
    bench.admit(Some("a"), [0]);
    bench.offered(worker);
    bench.retry(worker, 1);
    bench.admit(Some("a"), [1]);
    bench.admit(Some("b"), [2]);
    assert_eq!(bench.offered(worker), [(2, 1)]);
    bench.pass(LONG);
    assert_eq!(bench.offered(worker), [(0, 2)]);
    bench.ack(worker, 3);
    assert_eq!(bench.offered(worker), [(1, 1)]);
}

#[test]
fn what_is_in_hand_behind_a_failed_record_stays_there() {
    let mut bench = Bench::new(settings());
    let worker = bench.join(worker());
    bench.admit(Some("a"), 0..3);
    bench.offered(worker);
    bench.retry(worker, 1);
    bench.results(worker, acked(2, 3));
    assert_eq!(bench.resolved(), [(1, Resolution::Acked), (2, Resolution::Acked)]);
}

#[test]
fn failed_records_of_a_lane_come_again_one_by_one_in_order() {
    let mut bench = Bench::new(settings());
    let worker = bench.join(worker());
    bench.admit(Some("a"), 0..3);
    bench.offered(worker);
    for delivery in [3, 1, 2] {
        bench.retry(worker, delivery);
    }
    bench.pass(LONG);
    for (offset, delivery) in [(0, 4), (1, 5), (2, 6)] {
        assert_eq!(bench.offered(worker), [(offset, 2)]);
        bench.ack(worker, delivery);
    }
}

#[test]
fn a_record_without_a_key_waits_for_nobody() {
    let mut bench = Bench::new(settings());
    let worker = bench.join(worker());
    bench.admit(None, [0]);
    bench.offered(worker);
    bench.retry(worker, 1);
    bench.admit(None, [1]);
    assert_eq!(bench.offered(worker), [(1, 1)]);
}

#[test]
fn an_empty_key_is_a_key() {
    let mut bench = Bench::new(settings());
    let worker = bench.join(worker());
    bench.admit(Some(""), [0]);
    bench.offered(worker);
    bench.retry(worker, 1);
    bench.admit(Some(""), [1]);
    assert_eq!(bench.offered(worker), []);
}

#[test]
fn under_partition_ordering_all_keys_of_a_partition_wait_for_each_other() {
    let mut bench = Bench::new(Settings { ordering: Ordering::Partition, ..settings() });
    let worker = bench.join(worker());
    bench.admit(Some("a"), [0]);
    bench.offered(worker);
    bench.retry(worker, 1);
    bench.admit(Some("b"), [1]);
    let other = record_of("/default/orders-part-1", 7, Some("a"), 10);
    bench.dispatch.admit(bench.now, other);
    assert_eq!(bench.offered(worker), [(7, 1)]);
}

#[test]
fn without_ordering_nobody_waits() {
    let mut bench = Bench::new(Settings { ordering: Ordering::None, ..settings() });
    let worker = bench.join(worker());
    bench.admit(Some("a"), [0]);
    bench.offered(worker);
    bench.retry(worker, 1);
    bench.admit(Some("a"), [1]);
    assert_eq!(bench.offered(worker), [(1, 1)]);
}

#[test]
fn the_same_key_of_another_topic_is_another_lane() {
    let mut bench = Bench::new(settings());
    let worker = bench.join(worker());
    bench.admit(Some("a"), [0]);
    bench.offered(worker);
    bench.retry(worker, 1);
    let mut other = record(1, Some("a"));
    other.topic = "/default/payments".into();
    bench.dispatch.admit(bench.now, other);
    assert_eq!(bench.offered(worker), [(1, 1)]);
}

#[test]
fn a_rejected_record_does_not_hold_its_lane() {
    let mut bench = Bench::new(settings());
    let worker = bench.join(worker());
    bench.admit(Some("a"), [0]);
    bench.offered(worker);
    bench.fail(worker, 1, Outcome::Reject);
    bench.admit(Some("a"), [1]);
    assert_eq!(bench.offered(worker), [(1, 1)]);
}

#[test]
fn the_status_names_the_record_that_holds_a_lane() {
    let mut bench = Bench::new(settings());
    let worker = bench.join(worker());
    bench.admit(Some("a"), 0..2);
    bench.offered(worker);
    bench.retry(worker, 1);
    bench.admit(Some("a"), [2]);
    let status = bench.dispatch.status();
    let held = status.held_lane.expect("a held lane");
    assert_eq!((held.offset, held.key.as_deref(), held.attempt), (0, Some("a"), 1));
    assert_eq!((status.lanes, status.lanes_held), (1, 1));
    assert_eq!((status.held.records, status.in_hand, status.retries_waiting), (3, 1, 1));
}
