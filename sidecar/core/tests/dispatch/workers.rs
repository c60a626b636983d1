use std::{collections::BTreeSet, time::Duration};

use danube_sidecar_core::dispatch::{Departure, Event, Settings, WorkerId};

use crate::support::*;

/// Ten keys, one record each; tells which went to which worker.
fn spread(bench: &mut Bench, workers: &[WorkerId], from: u64) -> Vec<BTreeSet<String>> {
    for number in 0..10 {
        bench.admit(Some(&format!("k{number}")), [from + number]);
    }
    let keys = |worker: &WorkerId| {
        let offers = bench.poll(*worker);
        offers.iter().filter_map(|offer| offer.record.key.as_deref().map(str::to_owned)).collect()
    };
    workers.iter().map(keys).collect()
}

#[test]
fn records_wait_for_the_first_worker() {
    let mut bench = Bench::new(settings());
    bench.admit(Some("a"), 0..2);
    bench.admit(None, 2..4);
    let worker = bench.join(worker());
    assert_eq!(bench.offered(worker), [(0, 1), (1, 1), (2, 1), (3, 1)]);
}

#[test]
fn keys_are_shared_out_and_stay_with_their_worker() {
    let mut bench = Bench::new(settings());
    let workers = [bench.join(worker()), bench.join(worker())];
    let first = spread(&mut bench, &workers, 0);
    assert!(first.iter().all(|keys| !keys.is_empty()), "{first:?}");
    for (worker, keys) in workers.iter().zip(&first) {
        bench.results(*worker, acked(1, keys.len() as u64));
    }
    assert_eq!(spread(&mut bench, &workers, 10), first);
}

#[test]
fn records_without_a_key_are_shared_out_alike() {
    let mut bench = Bench::new(settings());
    let workers = [bench.join(worker()), bench.join(worker())];
    bench.admit(None, 0..100);
    let counts = workers.map(|worker| bench.offered(worker).len());
    assert_eq!(counts, [50, 50]);
}

#[test]
fn what_a_full_worker_cannot_take_another_does() {
    let mut bench = Bench::new(settings());
    let full = bench.join(window(1));
    let free = bench.join(worker());
    bench.admit(None, 0..10);
    while bench.dispatch.poll_any(bench.now).is_some() {}
    let load = |worker| bench.dispatch.worker_load(worker).map(|load| load.records);
    assert_eq!((load(full), load(free)), (Some(1), Some(9)));
}

#[test]
fn what_a_crashed_worker_held_comes_again_in_order_before_anything_newer() {
    let mut bench = Bench::new(settings());
    let crashed = bench.join(window(3));
    bench.admit(Some("a"), 0..5);
    bench.offered(crashed);
    bench.ack(crashed, 2);
    bench.dispatch.leave(bench.now, crashed, Departure::Crashed);
    let next = bench.join(worker());
    let offers = bench.poll(next);
    let seen: Vec<_> = offers
        .iter()
        .map(|offer| (offer.record.identity.offset, offer.attempt, offer.crashes))
        .collect();
    assert_eq!(seen, [(0, 2, 1), (2, 2, 1), (3, 1, 0), (4, 1, 0)]);
}

#[test]
fn records_without_a_key_come_again_as_they_came_first() {
    let mut bench = Bench::new(settings());
    let gone = bench.join(worker());
    bench.admit(None, 0..4);
    bench.offered(gone);
    bench.admit(None, 4..6);
    bench.dispatch.leave(bench.now, gone, Departure::Released);
    let next = bench.join(worker());
    assert_eq!(bench.offered(next), [(0, 2), (1, 2), (2, 2), (3, 2), (4, 1), (5, 1)]);
}

#[test]
fn a_released_worker_counts_as_no_crash() {
    let mut bench = Bench::new(settings());
    let released = bench.join(worker());
    bench.admit(Some("a"), [0]);
    bench.offered(released);
    bench.dispatch.leave(bench.now, released, Departure::Released);
    let next = bench.join(worker());
    let offers = bench.poll(next);
    assert_eq!((offers[0].attempt, offers[0].crashes), (2, 0));
}

#[test]
fn a_backoff_goes_on_when_the_worker_leaves() {
    let mut bench = Bench::new(settings());
    let first = bench.join(worker());
    bench.admit(Some("a"), 0..2);
    bench.offered(first);
    bench.fail(first, 1, retry_after(60));
    bench.dispatch.leave(bench.now, first, Departure::Crashed);
    let next = bench.join(worker());
    assert_eq!(bench.offered(next), []);
    bench.pass(Duration::from_secs(60));
    assert_eq!(bench.offered(next), [(0, 2)]);
}

#[test]
fn a_joining_worker_gets_a_lane_only_when_nothing_of_it_is_in_hand() {
    let mut bench = Bench::new(settings());
    let old = bench.join(worker());
    let keys = spread(&mut bench, &[old], 0);
    let new = bench.join(worker());
    for (offset, key) in (100..).zip(&keys[0]) {
        bench.admit(Some(key), [offset]);
    }
    assert_eq!(bench.offered(new), [], "every lane is in the old worker's hands");
    bench.results(old, acked(1, 10));
    let (moved, stayed) = (bench.offered(new).len(), bench.offered(old).len());
    assert!(moved > 0 && stayed > 0, "{moved} moved, {stayed} stayed");
}

#[test]
fn a_failed_record_comes_back_to_its_worker_before_its_lane_moves() {
    let mut bench = Bench::new(settings());
    let old = bench.join(worker());
    let keys = spread(&mut bench, &[old], 0);
    let new = bench.join(worker());
    for delivery in 1..=10 {
        bench.retry(old, delivery);
    }
    for (offset, key) in (100..).zip(&keys[0]) {
        bench.admit(Some(key), [offset]);
    }
    bench.pass(LONG);
    assert_eq!(bench.offered(new), [], "every lane has a record that failed at the old worker");
    assert_eq!(bench.offered(old).len(), 10);
    bench.results(old, acked(11, 20));
    let (moved, stayed) = (bench.offered(new).len(), bench.offered(old).len());
    assert!(moved > 0 && stayed > 0 && moved + stayed == 10, "{moved} moved, {stayed} stayed");
}

#[test]
fn a_failed_record_of_a_worker_that_drains_comes_to_another() {
    let mut bench = Bench::new(settings());
    let leaving = bench.join(worker());
    bench.admit(Some("a"), [0]);
    bench.offered(leaving);
    bench.retry(leaving, 1);
    bench.dispatch.draining(leaving);
    let staying = bench.join(worker());
    bench.pass(LONG);
    assert_eq!(bench.offered(staying), [(0, 2)]);
}

#[test]
fn a_draining_worker_is_offered_nothing_and_its_results_count() {
    let mut bench = Bench::new(settings());
    let leaving = bench.join(worker());
    bench.admit(Some("a"), [0]);
    bench.offered(leaving);
    bench.dispatch.draining(leaving);
    let staying = bench.join(worker());
    bench.admit(Some("a"), [1]);
    bench.admit(Some("b"), [2]);
    assert_eq!((bench.offered(leaving), bench.offered(staying)), (vec![], vec![(2, 1)]));
    bench.ack(leaving, 1);
    assert_eq!((bench.resolved().len(), bench.offered(staying)), (1, vec![(1, 1)]));
}

#[test]
fn a_worker_that_gives_no_result_in_time_is_named_once() {
    let timeout = Duration::from_secs(10);
    let mut bench = Bench::new(Settings { result_timeout: Some(timeout), ..settings() });
    let worker = bench.join(worker());
    bench.admit(Some("a"), [0]);
    bench.offered(worker);
    assert_eq!(bench.dispatch.next_wakeup(bench.now), Some(bench.now + timeout));
    bench.pass(timeout - Duration::from_millis(1));
    assert!(bench.events().is_empty());
    bench.pass(Duration::from_millis(1));
    let events = bench.events();
    assert!(matches!(events[..], [Event::ResultTimeout { worker: named }] if named == worker));
    bench.pass(timeout);
    assert!(bench.events().is_empty());
    bench.admit(None, [1]);
    assert_eq!(bench.offered(worker), [], "its session is about to end");
    bench.dispatch.leave(bench.now, worker, Departure::Released);
    let next = bench.join(worker_settings());
    assert_eq!(bench.offered(next), [(0, 2), (1, 1)]);
}
