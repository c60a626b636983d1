use std::time::Duration;

use danube_sidecar_core::{
    dispatch::{Event, RetryPolicy, Settings, WorkerId},
    outcome::{Outcome, Results},
};

use crate::support::*;

fn in_hand(settings: Settings) -> (Bench, WorkerId) {
    let mut bench = Bench::new(settings);
    let worker = bench.join(worker());
    bench.admit(Some("a"), [0]);
    assert_eq!(bench.offered(worker), [(0, 1)]);
    (bench, worker)
}

fn not_before(bench: &mut Bench) -> std::time::Instant {
    match &bench.events()[..] {
        [Event::Retrying { not_before, .. }] => *not_before,
        events => panic!("one retry, not {events:?}"),
    }
}

#[test]
fn a_failed_record_is_offered_again_when_its_backoff_ends() {
    let (mut bench, worker) = in_hand(settings());
    bench.retry(worker, 1);
    let due = not_before(&mut bench);
    assert_eq!(bench.dispatch.next_wakeup(bench.now).map(|at| at.min(due)), Some(due));
    bench.now = due - Duration::from_nanos(1);
    assert_eq!(bench.offered(worker), []);
    bench.now = due;
    assert_eq!(bench.offered(worker), [(0, 2)]);
}

#[test]
fn the_backoff_is_at_least_what_the_connector_asked_for() {
    let (mut bench, worker) = in_hand(settings());
    let after = Some(Duration::from_secs(100));
    bench.fail(worker, 1, Outcome::Retry { after });
    assert_eq!(not_before(&mut bench), bench.now + Duration::from_secs(100));
}

#[test]
fn an_endless_retry_after_is_bounded() {
    let (mut bench, worker) = in_hand(settings());
    bench.fail(worker, 1, Outcome::Retry { after: Some(Duration::MAX) });
    assert_eq!(not_before(&mut bench) - bench.now, Duration::from_secs(365 * 24 * 3600));
}

#[test]
fn an_outage_exhausts_nothing() {
    let (mut bench, worker) = in_hand(settings());
    for delivery in 1..50 {
        bench.retry(worker, delivery);
        bench.pass(LONG);
        assert_eq!(bench.offered(worker).len(), 1, "attempt {delivery}");
    }
    assert!(!bench.events().iter().any(|event| letter(event).is_some()));
}

#[test]
fn retries_count_while_other_records_succeed() {
    let retry = RetryPolicy { max_retries: 2, ..settings().retry };
    let (mut bench, worker) = in_hand(Settings { retry, ..settings() });
    let mut attempts = 0;
    for other in 1..10 {
        bench.admit(None, [other]);
        let offers = bench.poll(worker);
        let (bad, good): (Vec<_>, Vec<_>) =
            offers.iter().partition(|offer| offer.record.identity.offset == 0);
        good.iter().for_each(|offer| bench.ack(worker, offer.delivery.0));
        let delivery = bad.first().map_or(1, |offer| offer.delivery.0);
        bench.retry(worker, delivery);
        attempts += 1;
        if bench.events().iter().any(|event| letter(event).is_some()) {
            break;
        }
        bench.pass(LONG);
    }
    assert_eq!(attempts, 3, "the first attempt and two retries");
}

#[test]
fn a_success_in_the_same_frame_counts() {
    let retry = RetryPolicy { max_retries: 0, ..settings().retry };
    let (mut bench, worker) = in_hand(Settings { retry, ..settings() });
    bench.admit(None, [1]);
    bench.offered(worker);
    let failures = vec![failure(1, Outcome::Retry { after: None })];
    bench.results(worker, Results { failures, ..acked(2, 2) });
    assert!(bench.events().iter().any(|event| letter(event).is_some()));
}

#[test]
fn after_max_age_attempts_count_without_other_successes() {
    let (mut bench, worker) = in_hand(settings());
    bench.retry(worker, 1);
    bench.pass(settings().retry.max_age);
    for delivery in 2..5 {
        assert_eq!(bench.offered(worker).len(), 1);
        bench.retry(worker, delivery);
        bench.pass(LONG);
    }
    assert_eq!(bench.events().iter().filter(|event| letter(event).is_some()).count(), 1);
}

#[test]
fn a_retry_of_a_record_without_a_key_goes_before_newer_ones() {
    let mut bench = Bench::new(settings());
    let worker = bench.join(window(1));
    bench.admit(None, [0]);
    bench.offered(worker);
    bench.admit(None, [1, 2]);
    bench.retry(worker, 1);
    bench.pass(LONG);
    assert_eq!(bench.offered(worker), [(0, 2)]);
}
