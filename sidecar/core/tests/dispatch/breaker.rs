use std::time::Duration;

use danube_sidecar_core::{
    dispatch::{Breaker, Departure, Event, Settings, WorkerId},
    outcome::{Outcome, Results},
};

use crate::support::*;

/// Longer than any pause.
const PAUSE: Duration = Duration::from_secs(4);

/// One worker that answered twenty records, of as many keys, with RETRY.
fn opened() -> (Bench, WorkerId) {
    let mut bench = Bench::new(settings());
    let worker = bench.join(singly());
    for offset in 0..20 {
        bench.admit(Some(&format!("k{offset}")), [offset]);
    }
    assert_eq!(bench.offered(worker).len(), 20);
    bench.results(worker, retries(1..=20));
    assert_eq!(bench.breakers(), [Breaker::Open]);
    (bench, worker)
}

fn retries(deliveries: std::ops::RangeInclusive<u64>) -> Results {
    let failures = deliveries.map(|id| failure(id, Outcome::Retry { after: None })).collect();
    Results { acked: vec![], failures }
}

#[test]
fn twenty_retries_in_a_row_open_the_breaker_and_nothing_is_offered() {
    let (mut bench, worker) = opened();
    bench.admit(None, [50]);
    assert_eq!(bench.offered(worker), []);
    assert_eq!(bench.dispatch.status().breaker, Breaker::Open);
}

#[test]
fn a_bad_record_does_not_open_it_while_its_neighbours_succeed() {
    let retry = danube_sidecar_core::dispatch::RetryPolicy { max_retries: 100, ..settings().retry };
    let mut bench = Bench::new(Settings { retry, ..settings() });
    let worker = bench.join(worker());
    bench.admit(Some("bad"), [0]);
    for round in 1..50 {
        let offers = bench.poll(worker);
        bench.retry(worker, offers[0].delivery.0);
        bench.admit(None, [round]);
        let offers = bench.poll(worker);
        bench.ack(worker, offers[0].delivery.0);
        bench.pass(LONG);
    }
    assert_eq!(bench.breakers(), []);
}

#[test]
fn an_ack_in_the_same_frame_keeps_it_closed() {
    let mut bench = Bench::new(settings());
    let worker = bench.join(worker());
    bench.admit(None, 0..50);
    bench.offered(worker);
    bench.results(worker, Results { failures: retries(2..=50).failures, ..acked(1, 1) });
    assert_eq!(bench.breakers(), []);
}

#[test]
fn after_a_pause_one_record_is_offered_the_oldest() {
    let (mut bench, worker) = opened();
    assert!(bench.dispatch.next_wakeup(bench.now).is_some_and(|at| at <= bench.now + PAUSE));
    bench.pass(PAUSE);
    assert_eq!(bench.breakers(), [Breaker::HalfOpen]);
    assert_eq!(bench.offered(worker), [(0, 2)]);
    bench.pass(PAUSE);
    assert_eq!(bench.offered(worker), []);
}

#[test]
fn an_ack_closes_it_and_everything_is_due_at_once() {
    let (mut bench, worker) = opened();
    for delivery in 21..30 {
        bench.pass(PAUSE);
        assert_eq!(bench.offered(worker).len(), 1);
        bench.retry(worker, delivery);
        assert_eq!(bench.breakers(), [Breaker::HalfOpen, Breaker::Open]);
    }
    bench.pass(PAUSE);
    assert_eq!(bench.offered(worker).len(), 1);
    bench.ack(worker, 30);
    assert_eq!(bench.breakers(), [Breaker::HalfOpen, Breaker::Closed]);
    assert_eq!(bench.offered(worker).len(), 19);
}

#[test]
fn filtered_and_rejected_close_it_too() {
    for outcome in [Outcome::Filtered, Outcome::Reject] {
        let (mut bench, worker) = opened();
        bench.pass(PAUSE);
        bench.offered(worker);
        bench.fail(worker, 21, outcome);
        assert_eq!(bench.dispatch.breaker(), Breaker::Closed);
    }
}

#[test]
fn what_was_offered_least_often_is_tried_first() {
    let (mut bench, worker) = opened();
    bench.pass(PAUSE);
    bench.offered(worker);
    bench.retry(worker, 21);
    bench.admit(Some("new"), [50]);
    for (delivery, expected) in [(22, (50, 1)), (23, (1, 2)), (24, (2, 2))] {
        bench.pass(PAUSE);
        assert_eq!(bench.offered(worker), [expected]);
        bench.retry(worker, delivery);
    }
}

#[test]
fn the_trial_keeps_to_its_lanes_order() {
    let mut bench = Bench::new(settings());
    let worker = bench.join(worker());
    bench.admit(Some("a"), 0..20);
    bench.offered(worker);
    bench.results(worker, retries(1..=20));
    bench.admit(Some("a"), [20]);
    bench.pass(PAUSE);
    assert_eq!(bench.offered(worker), [(0, 2)]);
}

#[test]
fn what_the_connector_asked_for_is_honoured_by_trials_and_after_them() {
    let (mut bench, worker) = opened();
    bench.pass(PAUSE);
    assert_eq!(bench.offered(worker), [(0, 2)]);
    bench.fail(worker, 21, retry_after(60));
    bench.pass(PAUSE);
    assert_eq!(bench.offered(worker), [(1, 2)]);
    bench.ack(worker, 22);
    assert!(bench.offered(worker).iter().all(|&(offset, _)| offset != 0));
    bench.pass(Duration::from_secs(60));
    assert_eq!(bench.offered(worker), [(0, 3)]);
}

#[test]
fn an_ack_of_what_is_still_in_hand_closes_it() {
    let mut bench = Bench::new(settings());
    let worker = bench.join(singly());
    bench.admit(None, 0..21);
    bench.offered(worker);
    bench.results(worker, retries(1..=20));
    bench.ack(worker, 21);
    assert_eq!(bench.breakers(), [Breaker::Open, Breaker::Closed]);
    assert_eq!(bench.offered(worker).len(), 20);
}

#[test]
fn a_retry_of_another_record_than_the_one_on_trial_changes_nothing() {
    let mut bench = Bench::new(settings());
    let worker = bench.join(singly());
    bench.admit(None, 0..21);
    bench.offered(worker);
    bench.results(worker, retries(1..=20));
    bench.pass(PAUSE);
    assert_eq!(bench.offered(worker), [(0, 2)]);
    bench.retry(worker, 21);
    assert_eq!(bench.dispatch.breaker(), Breaker::HalfOpen);
    bench.ack(worker, 22);
    assert_eq!(bench.dispatch.breaker(), Breaker::Closed);
}

#[test]
fn a_crash_with_the_record_on_trial_opens_it_again_and_the_next_worker_gets_a_try() {
    let (mut bench, first) = opened();
    bench.pass(PAUSE);
    bench.offered(first);
    bench.dispatch.leave(bench.now, first, Departure::Crashed);
    assert_eq!(bench.breakers(), [Breaker::HalfOpen, Breaker::Open]);
    let next = bench.join(worker());
    assert_eq!(bench.breakers(), [Breaker::HalfOpen]);
    assert_eq!(bench.offered(next), [(1, 2)]);
}

#[test]
fn a_released_worker_leaves_it_half_open_for_another_record() {
    let (mut bench, first) = opened();
    bench.pass(PAUSE);
    bench.offered(first);
    let next = bench.join(worker());
    assert_eq!(bench.offered(next), []);
    bench.dispatch.leave(bench.now, first, Departure::Released);
    assert_eq!(bench.breakers(), [Breaker::HalfOpen]);
    assert_eq!(bench.offered(next).len(), 1);
}

#[test]
fn no_result_in_time_opens_it_again() {
    let timeout = Duration::from_secs(10);
    let mut bench = Bench::new(Settings { result_timeout: Some(timeout), ..settings() });
    let worker = bench.join(singly());
    bench.admit(None, 0..20);
    bench.offered(worker);
    bench.results(worker, retries(1..=20));
    bench.pass(PAUSE);
    assert_eq!(bench.offered(worker).len(), 1);
    bench.breakers();
    bench.pass(timeout);
    assert_eq!(bench.breakers(), [Breaker::Open]);
}

#[test]
fn without_a_record_in_hand_it_waits_half_open_for_the_first_that_is_admitted() {
    let mut bench = Bench::new(settings());
    let worker = bench.join(window(20));
    bench.admit(None, 0..30);
    bench.offered(worker);
    for delivery in 1..=20 {
        bench.fail(worker, delivery, retry_after(3600));
    }
    assert_eq!(bench.breakers(), [Breaker::Open]);
    assert_eq!(bench.dispatch.forget_unoffered(&partition()), 10);
    bench.pass(PAUSE);
    assert_eq!(bench.offered(worker), []);
    bench.pass(PAUSE);
    assert_eq!(bench.dispatch.breaker(), Breaker::HalfOpen);
    bench.admit(None, 20..22);
    assert_eq!(bench.offered(worker), [(20, 1)]);
    bench.ack(worker, 21);
    assert_eq!(bench.offered(worker), [(21, 1)]);
}

/// Two workers that answered twenty records, of as many keys, with RETRY.
fn opened_by_two() -> (Bench, [WorkerId; 2]) {
    let mut bench = Bench::new(settings());
    let workers = [bench.join(singly()), bench.join(singly())];
    for offset in 0..20 {
        bench.admit(Some(&format!("k{offset}")), [offset]);
    }
    for id in workers {
        let count = bench.offered(id).len() as u64;
        bench.results(id, retries(1..=count));
    }
    bench.pass(PAUSE);
    (bench, workers)
}

#[test]
fn a_trial_goes_to_another_worker_when_that_of_the_first_choice_does_not_ask() {
    let (mut bench, workers) = opened_by_two();
    let first = workers.iter().position(|&id| !bench.offered(id).is_empty());
    let (mut bench, workers) = opened_by_two();
    let other = workers[1 - first.expect("a trial")];
    assert_eq!(bench.offered(other), []);
    bench.now = bench.dispatch.next_wakeup(bench.now).expect("the end of its patience");
    assert_eq!(bench.offered(other).len(), 1);
}

#[test]
fn without_a_worker_it_stays_as_it_is_and_retries_of_nobody_open_it() {
    let mut bench = Bench::new(settings());
    bench.admit(None, 0..50);
    bench.pass(LONG);
    assert_eq!((bench.breakers(), bench.dispatch.breaker()), (vec![], Breaker::Closed));
}

#[test]
fn in_an_outage_of_a_few_records_each_is_tried_again_within_four_seconds() {
    let mut bench = Bench::new(settings());
    let worker = bench.join(worker());
    bench.admit(Some("a"), [0]);
    for delivery in 1..19 {
        assert_eq!(bench.offered(worker).len(), 1);
        bench.retry(worker, delivery);
        let due = bench.events().into_iter().find_map(|event| match event {
            Event::Retrying { not_before, .. } => Some(not_before),
            _ => None,
        });
        assert!(due.is_some_and(|due| due <= bench.now + PAUSE));
        bench.pass(PAUSE);
    }
}
