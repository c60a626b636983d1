use std::time::Duration;

use danube_sidecar_core::dispatch::{Limits, WorkerSettings};

use crate::support::*;

const LINGER: Duration = Duration::from_millis(100);

#[test]
fn no_more_than_the_window_is_unresolved_at_a_worker() {
    let mut bench = Bench::new(settings());
    let worker = bench.join(window(2));
    bench.admit(Some("a"), 0..5);
    assert_eq!(bench.offered(worker), [(0, 1), (1, 1)]);
    assert_eq!(bench.offered(worker), []);
    bench.ack(worker, 2);
    assert_eq!(bench.offered(worker), [(2, 1)]);
}

#[test]
fn the_window_counts_encoded_bytes() {
    let mut bench = Bench::new(settings());
    let each = record(0, None).encoded_len();
    let window = Limits { records: 100, bytes: 2 * each + each / 2 };
    let worker = bench.join(WorkerSettings { window, ..worker() });
    bench.admit(None, 0..5);
    assert_eq!(bench.offered(worker).len(), 2);
    let load = bench.dispatch.worker_load(worker).expect("a worker");
    assert_eq!((load.records, load.bytes), (2, 2 * each));
}

#[test]
fn one_record_always_passes_when_nothing_is_unresolved() {
    let mut bench = Bench::new(settings());
    let window = Limits { records: 100, bytes: 1 };
    let worker = bench.join(WorkerSettings { window, ..worker() });
    bench.admit(None, 0..2);
    assert_eq!(bench.offered(worker), [(0, 1)]);
    bench.ack(worker, 1);
    assert_eq!(bench.offered(worker), [(1, 1)]);
}

#[test]
fn a_zero_window_pauses_and_results_still_count() {
    let mut bench = Bench::new(settings());
    let worker = bench.join(worker());
    bench.admit(None, [0]);
    bench.offered(worker);
    bench.dispatch.resize(worker, Some(0), None);
    bench.admit(None, [1]);
    bench.ack(worker, 1);
    assert_eq!((bench.resolved().len(), bench.offered(worker)), (1, vec![]));
    bench.dispatch.resize(worker, Some(10), None);
    assert_eq!(bench.offered(worker), [(1, 1)]);
}

#[test]
fn batches_are_cut_by_records_and_by_bytes() {
    let mut bench = Bench::new(settings());
    let each = record(0, None).encoded_len();
    for (batch, expected) in [
        (Limits { records: 2, bytes: 1 << 20 }, vec![2, 2, 1]),
        (Limits { records: 100, bytes: 3 * each }, vec![3, 2]),
        (Limits { records: 100, bytes: 1 }, vec![1; 5]),
    ] {
        let id = bench.join(WorkerSettings { batch, ..worker() });
        let start = bench.dispatch.unresolved() as u64 * 100 + each as u64 * expected.len() as u64;
        bench.admit(None, start..start + 5);
        let mut lens = Vec::new();
        while let Some(offers) = bench.dispatch.poll_batch(bench.now, id) {
            lens.push(offers.len());
        }
        assert_eq!(lens, expected);
        bench.results(id, acked(1, 5));
        bench.dispatch.leave(bench.now, id, danube_sidecar_core::dispatch::Departure::Released);
    }
}

#[test]
fn without_a_linger_what_is_there_goes() {
    let mut bench = Bench::new(settings());
    let worker = bench.join(worker());
    bench.admit(None, [0]);
    assert_eq!(bench.offered(worker), [(0, 1)]);
}

#[test]
fn a_batch_that_nobody_fetches_asks_for_no_wakeup() {
    let mut bench = Bench::new(settings());
    bench.join(WorkerSettings { linger: LINGER, ..worker() });
    bench.admit(None, [0]);
    bench.pass(LINGER);
    assert_eq!(bench.dispatch.next_wakeup(bench.now), None);
}

#[test]
fn with_a_linger_a_batch_waits_for_its_oldest_record_to_be_that_old() {
    let mut bench = Bench::new(settings());
    let worker = bench.join(WorkerSettings { linger: LINGER, ..worker() });
    bench.admit(None, [0]);
    bench.pass(LINGER / 2);
    bench.admit(None, [1]);
    assert_eq!(bench.offered(worker), []);
    assert_eq!(bench.dispatch.next_wakeup(bench.now), Some(bench.now + LINGER / 2));
    bench.pass(LINGER / 2);
    assert_eq!(bench.offered(worker), [(0, 1), (1, 1)]);
}

#[test]
fn a_full_batch_does_not_linger() {
    let mut bench = Bench::new(settings());
    let batch = Limits { records: 2, bytes: 1 << 20 };
    let worker = bench.join(WorkerSettings { linger: LINGER, batch, ..worker() });
    bench.admit(Some("a"), 0..3);
    assert_eq!(bench.offered(worker), [(0, 1), (1, 1)]);
    bench.pass(LINGER);
    assert_eq!(bench.offered(worker), [(2, 1)]);
}

#[test]
fn a_batch_that_fills_the_window_does_not_linger() {
    let mut bench = Bench::new(settings());
    let worker = bench.join(WorkerSettings { linger: LINGER, ..window(2) });
    bench.admit(Some("a"), 0..3);
    assert_eq!(bench.offered(worker), [(0, 1), (1, 1)]);
}

#[test]
fn a_batch_that_nothing_can_join_does_not_linger() {
    let mut bench = Bench::new(settings());
    let worker = bench.join(WorkerSettings { linger: LINGER, ..worker() });
    bench.admit(None, 0..2);
    bench.dispatch.flush();
    assert_eq!(bench.offered(worker).len(), 2);
    bench.admit(None, [2]);
    assert_eq!(bench.offered(worker), [], "what comes after the flush lingers");
}
