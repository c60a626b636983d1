use danube_sidecar_core::{
    dispatch::{Departure, Violation, WorkerId},
    outcome::{DeliveryId, Outcome, Resolution, Results},
};

use crate::support::*;

fn three_in_hand() -> (Bench, WorkerId) {
    let mut bench = Bench::new(settings());
    let worker = bench.join(worker());
    bench.admit(None, 0..3);
    assert_eq!(bench.offered(worker).len(), 3);
    (bench, worker)
}

#[test]
fn nothing_is_resolved_before_its_result() {
    let (mut bench, worker) = three_in_hand();
    assert_eq!((bench.resolved(), bench.dispatch.unresolved()), (vec![], 3));
    bench.ack(worker, 2);
    assert_eq!((bench.resolved(), bench.dispatch.unresolved()), (vec![(1, Resolution::Acked)], 2));
}

#[test]
fn a_range_acks_what_is_open_in_it() {
    let (mut bench, worker) = three_in_hand();
    bench.ack(worker, 2);
    bench.results(worker, acked(1, 3));
    let offsets: Vec<_> = bench.resolved().into_iter().map(|(offset, _)| offset).collect();
    assert_eq!(offsets, [1, 0, 2]);
}

#[test]
fn in_one_frame_a_failure_beats_a_range() {
    let (mut bench, worker) = three_in_hand();
    let failures = vec![failure(2, Outcome::Retry { after: None })];
    bench.results(worker, Results { failures, ..acked(1, 3) });
    assert_eq!(bench.resolved(), [(0, Resolution::Acked), (2, Resolution::Acked)]);
    assert_eq!(bench.dispatch.status().retries_waiting, 1);
}

#[test]
fn a_late_ack_resolves_a_record_that_waits_for_its_retry() {
    let (mut bench, worker) = three_in_hand();
    bench.retry(worker, 1);
    bench.ack(worker, 1);
    assert_eq!(bench.resolved(), [(0, Resolution::Acked)]);
    bench.pass(LONG);
    assert_eq!(bench.offered(worker), []);
}

#[test]
fn a_late_ack_resolves_a_record_that_is_in_hand_again() {
    let (mut bench, worker) = three_in_hand();
    bench.retry(worker, 1);
    bench.pass(LONG);
    assert_eq!(bench.offered(worker), [(0, 2)]);
    bench.ack(worker, 1);
    assert_eq!(bench.resolved(), [(0, Resolution::Acked)]);
    assert_eq!(bench.dispatch.worker_load(worker).map(|load| load.records), Some(2));
    bench.ack(worker, 4);
    assert_eq!(bench.resolved(), []);
}

#[test]
fn a_late_ack_resolves_a_record_that_waits_for_its_dead_letter() {
    let (mut bench, worker) = three_in_hand();
    bench.fail(worker, 1, Outcome::Reject);
    bench.ack(worker, 1);
    assert_eq!(bench.resolved(), [(0, Resolution::Acked)]);
}

#[test]
fn late_failures_are_ignored_and_counted() {
    let (mut bench, worker) = three_in_hand();
    bench.ack(worker, 1);
    bench.retry(worker, 2);
    for delivery in [1, 2] {
        bench.fail(worker, delivery, Outcome::Reject);
    }
    assert_eq!(bench.resolved(), [(0, Resolution::Acked)]);
    let status = bench.dispatch.status();
    assert_eq!((status.late_failures, status.dead_letters_pending), (2, 0));
}

#[test]
fn an_id_never_issued_is_a_violation_and_nothing_of_its_frame_counts() {
    let (mut bench, worker) = three_in_hand();
    for (results, id) in [
        (acked(1, 4), 4),
        (acked(0, 3), 0),
        (Results { failures: vec![failure(9, Outcome::Reject)], ..acked(1, 1) }, 9),
    ] {
        let violation = bench.dispatch.results(bench.now, worker, &results);
        assert_eq!(violation, Err(Violation::NeverIssued { id, issued: 3 }));
    }
    assert_eq!(bench.resolved(), []);
}

#[test]
fn a_reversed_range_is_a_violation() {
    let (mut bench, worker) = three_in_hand();
    let violation = bench.dispatch.results(bench.now, worker, &acked(3, 1));
    assert_eq!(violation, Err(Violation::Reversed { first: 3, last: 1 }));
}

#[test]
fn acks_count_only_for_the_workers_own_ids() {
    let (mut bench, worker) = three_in_hand();
    let other = bench.join(worker_settings());
    let violation = bench.dispatch.results(bench.now, other, &acked(1, 1));
    assert_eq!(violation, Err(Violation::NeverIssued { id: 1, issued: 0 }));
    bench.dispatch.leave(bench.now, worker, Departure::Crashed);
    assert_eq!(bench.offered(other).len(), 3);
    bench.results(worker, acked(1, 3));
    assert_eq!(bench.resolved(), [], "results of a worker that has left");
}

#[test]
fn delivery_ids_are_consecutive_per_worker() {
    let mut bench = Bench::new(settings());
    let worker = bench.join(window(2));
    bench.admit(None, 0..4);
    let first: Vec<_> = bench.poll(worker).iter().map(|offer| offer.delivery).collect();
    bench.results(worker, acked(1, 2));
    let second: Vec<_> = bench.poll(worker).iter().map(|offer| offer.delivery).collect();
    let ids = |range: std::ops::RangeInclusive<u64>| range.map(DeliveryId).collect::<Vec<_>>();
    assert_eq!((first, second), (ids(1..=2), ids(3..=4)));
}
