//! What a worker holds back behind a record that it did not write.

use danube_sidecar_core::{
    dispatch::{Breaker, OnExhausted, Ordering, RetryPolicy, Settings, WorkerId},
    outcome::{Outcome, Results},
};

use crate::support::*;

/// The first failure that counts exhausts a record.
fn strict(on_exhausted: OnExhausted) -> Settings {
    let retry = RetryPolicy { max_retries: 0, ..settings().retry };
    Settings { retry, on_exhausted, ..settings() }
}

fn retries(deliveries: impl IntoIterator<Item = u64>) -> Results {
    let retry = |id| failure(id, Outcome::Retry { after: None });
    Results { acked: vec![], failures: deliveries.into_iter().map(retry).collect() }
}

/// The deliveries of offsets 0 to 2, of one key, and of offset 3, of another: lanes
/// take turns.
const BAD: [u64; 3] = [1, 3, 4];
const GOOD: u64 = 2;

fn three_of_a_key(settings: Settings) -> (Bench, WorkerId) {
    let mut bench = Bench::new(settings);
    let worker = bench.join(worker());
    bench.admit(Some("bad"), 0..3);
    bench.admit(Some("good"), [3]);
    assert_eq!(bench.offered(worker).len(), 4);
    (bench, worker)
}

fn given_up(bench: &mut Bench) -> Vec<u64> {
    bench.resolved().into_iter().map(|(offset, _)| offset).filter(|&offset| offset != 3).collect()
}

#[test]
fn a_record_that_was_only_held_behind_another_is_not_exhausted_by_it() {
    let [first, second, third] = BAD;
    for order in [BAD, [third, second, first], [second, third, first]] {
        let (mut bench, worker) = three_of_a_key(strict(OnExhausted::Skip));
        bench.results(worker, Results { failures: retries(order).failures, ..acked(GOOD, GOOD) });
        assert_eq!(given_up(&mut bench), [0], "listed as {order:?}");
        assert_eq!(bench.offered(worker), [(1, 2), (2, 2)], "at once: they have not failed");
    }
}

#[test]
fn what_is_held_may_be_answered_after_what_holds_it_came_to_its_end() {
    let (mut bench, worker) = three_of_a_key(strict(OnExhausted::Skip));
    bench.results(worker, Results { failures: retries([1]).failures, ..acked(GOOD, GOOD) });
    assert_eq!(given_up(&mut bench), [0]);
    bench.admit(None, [9]);
    bench.offered(worker);
    bench.ack(worker, 5);
    bench.results(worker, retries([BAD[1]]));
    bench.results(worker, retries([BAD[2]]));
    assert_eq!(given_up(&mut bench), [9], "nothing else came to its end");
    assert_eq!(bench.offered(worker), [(1, 2), (2, 2)]);
}

#[test]
fn what_is_held_behind_a_suspended_record_waits_for_the_operator_and_has_not_failed() {
    let (mut bench, worker) = three_of_a_key(strict(OnExhausted::Suspend));
    bench.results(worker, Results { failures: retries([4, 3, 1]).failures, ..acked(GOOD, GOOD) });
    assert_eq!(bench.dispatch.status().suspended, 1);
    bench.pass(LONG);
    assert_eq!(bench.offered(worker), []);
    bench.dispatch.resume(bench.now);
    assert_eq!(bench.offered(worker), [(0, 2)]);
    bench.ack(worker, 5);
    assert_eq!(bench.offered(worker), [(1, 2), (2, 2)]);
}

#[test]
fn a_held_record_that_fails_by_itself_later_has_failed() {
    let (mut bench, worker) = three_of_a_key(strict(OnExhausted::Skip));
    bench.results(worker, Results { failures: retries(BAD).failures, ..acked(GOOD, GOOD) });
    assert_eq!(given_up(&mut bench), [0]);
    assert_eq!(bench.offered(worker).len(), 2);
    bench.admit(None, [9]);
    bench.offered(worker);
    bench.results(worker, Results { failures: retries([5]).failures, ..acked(7, 7) });
    assert_eq!(given_up(&mut bench), [9, 1]);
}

#[test]
fn an_outage_after_a_held_records_second_offer_does_not_exhaust_it() {
    let (mut bench, worker) = three_of_a_key(strict(OnExhausted::Skip));
    bench.results(worker, Results { failures: retries(BAD).failures, ..acked(GOOD, GOOD) });
    assert_eq!(bench.offered(worker).len(), 2);
    bench.events();
    bench.results(worker, retries([5]));
    assert_eq!(given_up(&mut bench), [], "nothing succeeded since it was offered");
}

#[test]
fn what_is_in_hand_before_the_one_that_failed_is_not_held_by_it() {
    let (mut bench, worker) = three_of_a_key(strict(OnExhausted::Skip));
    bench.results(worker, Results { failures: retries([BAD[1]]).failures, ..acked(GOOD, GOOD) });
    bench.results(worker, retries([BAD[0]]));
    assert_eq!(given_up(&mut bench), [1, 0], "each failed by itself");
}

#[test]
fn a_rejected_record_holds_nothing_back() {
    let (mut bench, worker) = three_of_a_key(strict(OnExhausted::Skip));
    let rejected =
        vec![failure(BAD[0], Outcome::Reject), failure(BAD[1], Outcome::Retry { after: None })];
    bench.results(worker, Results { failures: rejected, ..acked(GOOD, GOOD) });
    assert_eq!(given_up(&mut bench), [1]);
}

#[test]
fn of_a_partition_only_the_first_has_failed() {
    let rules = Settings { ordering: Ordering::Partition, ..strict(OnExhausted::Skip) };
    let mut bench = Bench::new(rules);
    let worker = bench.join(worker());
    for offset in 0..5 {
        bench.admit(Some(&format!("k{offset}")), [offset]);
    }
    assert_eq!(bench.offered(worker).len(), 5);
    bench.results(worker, Results { failures: retries([5, 3, 2, 4]).failures, ..acked(1, 1) });
    assert_eq!(bench.resolved().len(), 2, "offset 0 is acked, offset 1 given up");
    assert_eq!(bench.offered(worker), [(2, 2), (3, 2), (4, 2)]);
}

#[test]
fn one_failure_of_a_hot_key_is_no_outage() {
    let mut bench = Bench::new(settings());
    let worker = bench.join(worker());
    bench.admit(Some("hot"), 0..30);
    bench.offered(worker);
    bench.results(worker, retries(1..=30));
    assert_eq!(bench.dispatch.breaker(), Breaker::Closed);
}

#[test]
fn a_trial_that_was_held_back_is_followed_by_another_pause() {
    let mut bench = Bench::new(settings());
    let worker = bench.join(window(40));
    bench.admit(Some("a"), [0]);
    assert_eq!(bench.offered(worker).len(), 1);
    for offset in 1..=20 {
        bench.admit(None, [offset]);
        let delivery = offset + 1;
        assert_eq!(bench.offered(worker).len(), 1);
        bench.fail(worker, delivery, retry_after(3600));
    }
    bench.admit(Some("a"), [30]);
    bench.pass(LONG);
    assert_eq!(bench.offered(worker), [(30, 1)], "on trial, behind what is still in hand");
    bench.breakers();
    bench.results(worker, retries([22, 1]));
    assert_eq!(bench.breakers(), [Breaker::Open]);
}
