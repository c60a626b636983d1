use std::time::Duration;

use danube_sidecar_core::{
    dispatch::{Event, Health, RetryPolicy, Settings, WorkerId, WorkerSettings},
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

/// Two records fail at every attempt, and nothing else is there.
fn outage(bench: &mut Bench, worker: WorkerId, rounds: usize) {
    bench.admit(None, [1]);
    fail_all(bench, worker, rounds);
}

fn fail_all(bench: &mut Bench, worker: WorkerId, rounds: usize) {
    for _ in 0..rounds {
        for offer in bench.poll(worker) {
            bench.retry(worker, offer.delivery.0);
        }
        bench.pass(LONG);
    }
}

fn letters(bench: &mut Bench) -> usize {
    bench.events().iter().filter(|event| letter(event).is_some()).count()
}

#[test]
fn an_outage_exhausts_nothing() {
    let (mut bench, worker) = in_hand(settings());
    bench.retry(worker, 1);
    outage(&mut bench, worker, 100);
    assert!(bench.dispatch.failing(9, |_| true).iter().all(|failing| failing.attempt > 20));
    assert_eq!(letters(&mut bench), 0);
}

/// One record fails until it is given up, at a worker that says this of its external
/// system whenever it is asked; tells after how many attempts, and how long that took.
fn alone(health: Option<Health>) -> (usize, Duration) {
    let mut bench = Bench::new(settings());
    let probe = health.is_some();
    let id = bench.join(WorkerSettings { probe, ..worker() });
    let start = bench.now;
    bench.admit(Some("a"), [0]);
    for attempts in 1..100_000 {
        let offers = bench.poll(id);
        bench.retry(id, offers[0].delivery.0);
        for event in bench.events() {
            match event {
                Event::DeadLetter(_) => return (attempts, bench.now - start),
                Event::AskHealth { worker } => {
                    assert_eq!(worker, id);
                    bench.dispatch.health(id, health.expect("it is not to be asked"));
                }
                _ => {}
            }
        }
        bench.pass(LONG);
    }
    panic!("it is tried for ever");
}

#[test]
fn a_record_that_fails_alone_is_exhausted_while_the_external_system_is_well() {
    assert_eq!(alone(Some(Health::Well)).0, 4, "the first attempt and three retries");
}

#[test]
fn a_record_that_fails_alone_is_not_to_blame_while_the_external_system_is_not_well() {
    assert!(alone(Some(Health::Unwell)).1 >= settings().retry.max_age);
}

#[test]
fn where_nobody_can_say_a_record_that_fails_alone_is_exhausted_after_a_while() {
    for health in [None, Some(Health::Unknown)] {
        let took = alone(health).1;
        let aged = settings().retry.max_age_alone;
        assert!(took >= aged && took < aged + 5 * LONG, "{took:?}");
    }
}

#[test]
fn a_word_from_before_the_last_attempt_tells_nothing() {
    let mut bench = Bench::new(settings());
    let id = bench.join(WorkerSettings { probe: true, ..worker() });
    bench.admit(Some("a"), [0]);
    bench.dispatch.health(id, Health::Well);
    for _ in 0..100 {
        let offers = bench.poll(id);
        bench.retry(id, offers[0].delivery.0);
        bench.pass(LONG);
    }
    assert_eq!(letters(&mut bench), 0);
}

#[test]
fn records_that_wait_behind_it_do_not_speak_for_it() {
    let mut bench = Bench::new(settings());
    let id = bench.join(WorkerSettings { probe: true, ..window(1) });
    bench.admit(Some("a"), 0..5);
    for _ in 0..4 {
        let offers = bench.poll(id);
        assert_eq!(offers[0].record.identity.offset, 0);
        bench.retry(id, offers[0].delivery.0);
        bench.dispatch.health(id, Health::Well);
        bench.pass(LONG);
    }
    assert_eq!(letters(&mut bench), 1);
}

#[test]
fn after_max_age_attempts_count_in_an_outage_too() {
    let (mut bench, worker) = in_hand(settings());
    bench.retry(worker, 1);
    outage(&mut bench, worker, 1);
    bench.pass(settings().retry.max_age);
    fail_all(&mut bench, worker, 20);
    assert_eq!(letters(&mut bench), 2);
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
