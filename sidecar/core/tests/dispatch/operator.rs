//! What an operator sees of records that fail, and may do with them.

use danube_sidecar_core::{
    dispatch::{Event, OnExhausted, Order, Settings, Stage, Unfit, WorkerId},
    outcome::{FailureClass, Outcome, Resolution},
};

use crate::support::*;

/// Offset 0 of key `a` is suspended, and offset 9 waits behind it.
fn suspended() -> (Bench, WorkerId) {
    let retry = danube_sidecar_core::dispatch::RetryPolicy { max_retries: 0, ..settings().retry };
    let rules = Settings { on_exhausted: OnExhausted::Suspend, retry, ..settings() };
    let mut bench = Bench::new(rules);
    let worker = bench.join(worker());
    bench.admit(Some("a"), [0]);
    bench.admit(None, [1]);
    assert_eq!(bench.offered(worker).len(), 2);
    bench.ack(worker, 2);
    bench.retry(worker, 1);
    bench.admit(Some("a"), [9]);
    bench.pass(LONG);
    assert_eq!(bench.offered(worker), []);
    bench.events();
    (bench, worker)
}

/// Offset 0 of key `a` fails, and nothing else is there.
fn retried() -> (Bench, WorkerId) {
    let mut bench = Bench::new(settings());
    let worker = bench.join(worker());
    bench.admit(Some("a"), [0]);
    bench.offered(worker);
    bench.retry(worker, 1);
    bench.events();
    (bench, worker)
}

fn order(bench: &mut Bench, order: Order) -> Result<Stage, Unfit> {
    let [failing] = &bench.dispatch.failing(10, |_| true)[..] else { panic!("one fails") };
    bench.dispatch.operate(bench.now, failing.id, order).map(|failing| failing.stage)
}

#[test]
fn what_fails_is_shown_with_its_last_words_and_what_waits_for_it() {
    let (bench, _) = suspended();
    let [failing] = &bench.dispatch.failing(10, |_| true)[..] else { panic!("one fails") };
    assert_eq!((&*failing.code, &*failing.reason), ("DOWN", "connection refused"));
    assert_eq!((failing.record.identity.offset, failing.attempt, failing.behind), (0, 1, 1));
    assert_eq!((failing.stage, bench.now - failing.since), (Stage::Suspended, LONG));
}

#[test]
fn those_that_fail_for_the_longest_time_are_shown_first() {
    let (mut bench, worker) = retried();
    bench.pass(LONG);
    bench.admit(None, [5, 6]);
    bench.offered(worker);
    for delivery in [4, 3] {
        bench.pass(LONG / 31);
        bench.retry(worker, delivery);
    }
    let failing = bench.dispatch.failing(2, |_| true);
    let offsets: Vec<_> = failing.iter().map(|failing| failing.record.identity.offset).collect();
    assert_eq!(offsets, [0, 6]);
}

#[test]
fn one_suspended_lane_is_resumed_and_the_others_stay() {
    let (mut bench, worker) = suspended();
    bench.admit(Some("b"), [2]);
    bench.admit(None, [3]);
    assert_eq!(bench.offered(worker).len(), 2);
    bench.ack(worker, 4);
    bench.retry(worker, 3);
    let of_a = bench.dispatch.failing(10, |failing| failing.record.key.as_deref() == Some("a"));
    let done = bench.dispatch.operate(bench.now, of_a[0].id, Order::Resume);
    assert_eq!(done.map(|failing| failing.stage), Ok(Stage::Suspended));
    assert_eq!(bench.offered(worker), [(0, 2)]);
    assert_eq!(bench.dispatch.status().suspended, 1);
}

#[test]
fn a_record_that_waits_for_its_next_attempt_can_be_offered_at_once() {
    let (mut bench, worker) = retried();
    assert!(matches!(order(&mut bench, Order::Resume), Ok(Stage::Retry(Some(_)))));
    assert_eq!(bench.offered(worker), [(0, 2)]);
}

#[test]
fn a_skipped_record_is_resolved_and_lets_its_lane_go_on() {
    let (mut bench, worker) = suspended();
    assert_eq!(order(&mut bench, Order::Skip), Ok(Stage::Suspended));
    assert_eq!(bench.resolved(), [(0, Resolution::Skipped)]);
    assert_eq!(bench.offered(worker), [(9, 1)]);
}

#[test]
fn an_operator_makes_a_dead_letter_whatever_the_file_says_of_exhausted_records() {
    let (mut bench, worker) = suspended();
    assert_eq!(order(&mut bench, Order::DeadLetter), Ok(Stage::Suspended));
    let events = bench.events();
    let [Event::DeadLetter(letter)] = &events[..] else { panic!("{events:?}") };
    assert_eq!((letter.class, letter.attempt), (FailureClass::Exhausted, 1));
    assert_eq!((&*letter.code, &*letter.reason), ("DOWN", "connection refused"));
    assert_eq!(bench.offered(worker), [], "until it is confirmed");
    bench.dispatch.dead_lettered(bench.now, letter.id);
    assert_eq!(bench.resolved(), [(0, Resolution::DeadLettered)]);
    assert_eq!(bench.offered(worker), [(9, 1)]);
}

#[test]
fn a_record_that_is_merely_retried_can_be_given_up_too() {
    for (wanted, class) in [(Order::Skip, None), (Order::DeadLetter, Some("EXHAUSTED"))] {
        let (mut bench, worker) = retried();
        assert!(order(&mut bench, wanted).is_ok());
        let events = bench.events();
        let letters: Vec<_> = events.iter().filter_map(letter).collect();
        assert_eq!(letters.first().map(|letter| letter.class.as_str()), class);
        bench.pass(LONG);
        assert_eq!(bench.offered(worker), []);
    }
}

#[test]
fn nothing_is_decided_on_a_record_that_a_worker_has() {
    let (mut bench, worker) = retried();
    bench.pass(LONG);
    assert_eq!(bench.offered(worker), [(0, 2)]);
    for wanted in [Order::Resume, Order::Skip, Order::DeadLetter] {
        assert_eq!(order(&mut bench, wanted), Err(Unfit::AtWorker));
    }
    bench.ack(worker, 2);
    assert_eq!(bench.resolved(), [(0, Resolution::Acked)]);
}

#[test]
fn what_is_a_dead_letter_already_or_resolved_cannot_be_decided_on() {
    let mut bench = Bench::new(settings());
    let worker = bench.join(worker());
    bench.admit(None, [0]);
    bench.offered(worker);
    bench.fail(worker, 1, Outcome::Reject);
    let id = bench.dispatch.failing(1, |_| true)[0].id;
    assert_eq!(order(&mut bench, Order::Skip), Err(Unfit::Lettered));
    bench.dispatch.dead_lettered(bench.now, id);
    assert_eq!(bench.dispatch.operate(bench.now, id, Order::Skip).err(), Some(Unfit::Gone));
}

#[test]
fn without_dead_letters_none_is_made() {
    let mut bench = Bench::new(Settings { dead_letters: false, ..settings() });
    let worker = bench.join(worker());
    bench.admit(Some("a"), [0]);
    bench.offered(worker);
    bench.retry(worker, 1);
    assert_eq!(order(&mut bench, Order::DeadLetter), Err(Unfit::NoLetters));
    assert!(matches!(order(&mut bench, Order::Skip), Ok(Stage::Retry(_))));
}
