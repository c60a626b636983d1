//! Batches that fail as a whole, because of one record in them.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use danube_sidecar_core::{
    dispatch::{Breaker, Event, Offer, OnExhausted, Ordering, RetryPolicy, Settings, WorkerId},
    outcome::{Outcome, Resolution, Results},
};

use crate::support::*;

fn strict() -> Settings {
    let retry = RetryPolicy { max_retries: 0, ..settings().retry };
    Settings { retry, on_exhausted: OnExhausted::Skip, ..settings() }
}

fn with(records: u64, settings: Settings) -> (Bench, WorkerId) {
    let mut bench = Bench::new(settings);
    let worker = bench.join(worker());
    for offset in 0..records {
        bench.admit(Some(&format!("k{offset}")), [offset]);
    }
    (bench, worker)
}

/// What a sink says that could not write one of a batch: all of it failed.
fn refused(batch: &[Offer], after: Option<Duration>) -> Results {
    let retry = |offer: &Offer| failure(offer.delivery.0, Outcome::Retry { after });
    Results { acked: vec![], failures: batch.iter().map(retry).collect() }
}

fn written(batch: &[Offer]) -> Results {
    acked(batch[0].delivery.0, batch[batch.len() - 1].delivery.0)
}

fn next_batch(bench: &mut Bench, worker: WorkerId) -> Vec<Offer> {
    bench.dispatch.poll_batch(bench.now, worker).expect("a batch")
}

fn offsets(batch: &[Offer]) -> Vec<u64> {
    batch.iter().map(|offer| offer.record.identity.offset).collect()
}

fn not_before(bench: &mut Bench) -> BTreeMap<u64, Instant> {
    let events = bench.events().into_iter();
    events
        .filter_map(|event| match event {
            Event::Retrying { record, not_before, .. } => {
                Some((record.identity.offset, not_before))
            }
            _ => None,
        })
        .collect()
}

/// How a sink that writes batches as a whole fares with these records, some of which it
/// can never write; another record comes every second. Tells how often it was refused.
fn write_whole_batches(settings: Settings, bad: &[u64], after: Option<Duration>) -> u32 {
    let (mut bench, worker) = with(60, settings);
    let (mut refusals, mut ends, mut next) = (0, BTreeMap::new(), 60);
    while !(0..60).all(|offset| ends.contains_key(&offset)) {
        while let Some(batch) = bench.dispatch.poll_batch(bench.now, worker) {
            let refuses = batch.iter().any(|offer| bad.contains(&offer.record.identity.offset));
            refusals += u32::from(refuses);
            let results = if refuses { refused(&batch, after) } else { written(&batch) };
            bench.results(worker, results);
        }
        ends.extend(bench.resolved());
        let other = record_of("/default/orders-part-1", next, None, 10);
        bench.dispatch.admit(bench.now, other);
        next += 1;
        bench.pass(Duration::from_secs(1));
        assert!(next < 2000, "not everything came to its end: {ends:?}");
    }
    for (offset, how) in ends {
        let expected = if bad.contains(&offset) { Resolution::Skipped } else { Resolution::Acked };
        assert_eq!(how, expected, "offset {offset}");
    }
    refusals
}

#[test]
fn of_a_batch_that_fails_as_a_whole_the_good_ones_are_written_and_the_bad_one_ends_alone() {
    let skip = Settings { on_exhausted: OnExhausted::Skip, ..settings() };
    for after in [None, Some(Duration::from_secs(1)), Some(Duration::from_secs(5))] {
        for settings in [skip.clone(), strict()] {
            let tries = 1 + settings.retry.max_retries;
            // 60, 30, 15, 7, 3 and then alone, as often as it may.
            assert!(write_whole_batches(settings, &[41], after) <= 5 + tries, "{after:?}");
        }
    }
}

#[test]
fn the_bad_one_ends_though_nothing_else_comes_any_more() {
    for after in [None, Some(Duration::from_secs(1)), Some(Duration::from_secs(5))] {
        let skip = Settings { on_exhausted: OnExhausted::Skip, ..settings() };
        let (mut bench, worker) = with(60, skip);
        let mut ends = BTreeMap::new();
        let deadline = bench.now + Duration::from_secs(90);
        while ends.len() < 60 {
            while let Some(batch) = bench.dispatch.poll_batch(bench.now, worker) {
                let refuses = batch.iter().any(|offer| offer.record.identity.offset == 41);
                let results = if refuses { refused(&batch, after) } else { written(&batch) };
                bench.results(worker, results);
            }
            ends.extend(bench.resolved());
            bench.pass(Duration::from_millis(100));
            assert!(bench.now < deadline, "{after:?}: {} of 60 came to their end", ends.len());
        }
        let skipped = ends.iter().filter(|(_, how)| **how == Resolution::Skipped);
        assert_eq!(skipped.map(|(&offset, _)| offset).collect::<Vec<_>>(), [41]);
    }
}

#[test]
fn a_third_of_bad_records_takes_no_good_one_with_it() {
    let bad: Vec<_> = (0..60).step_by(3).collect();
    for after in [None, Some(Duration::from_secs(1))] {
        write_whole_batches(settings_that_skip(), &bad, after);
    }
}

fn settings_that_skip() -> Settings {
    Settings { on_exhausted: OnExhausted::Skip, ..settings() }
}

#[test]
fn in_a_lane_too_a_bad_record_takes_no_good_one_with_it() {
    for settings in [settings_that_skip(), strict()] {
        write_whole_batches(Settings { ordering: Ordering::Partition, ..settings }, &[41], None);
    }
}

#[test]
fn what_failed_together_comes_again_in_halves_each_at_its_own_time() {
    let (mut bench, worker) = with(60, settings());
    let batch = next_batch(&mut bench, worker);
    let after = Duration::from_secs(5);
    bench.results(worker, refused(&batch, Some(after)));
    let due = not_before(&mut bench);
    let (first, second) = (due[&0], due[&30]);
    assert!(due.iter().all(|(&offset, &at)| at == if offset < 30 { first } else { second }));
    let spread = settings().retry.initial_backoff;
    for at in [first, second] {
        assert!(at > bench.now + after && at <= bench.now + after + spread);
    }
    assert_ne!(first, second);
    bench.now = first.max(second);
    assert_eq!(next_batch(&mut bench, worker).len(), 30);
    assert_eq!(next_batch(&mut bench, worker).len(), 30);
}

#[test]
fn only_a_record_that_failed_alone_has_used_an_attempt() {
    let (mut bench, worker) = with(3, strict());
    let batch = next_batch(&mut bench, worker);
    assert_eq!(offsets(&batch), [0, 1, 2]);
    bench.results(worker, Results { failures: refused(&batch[..2], None).failures, ..acked(3, 3) });
    assert_eq!(bench.resolved(), [(2, Resolution::Acked)]);
    bench.pass(LONG);
    let (bad, good) = (next_batch(&mut bench, worker), next_batch(&mut bench, worker));
    assert_eq!((bad.len(), good.len()), (1, 1));
    bench.results(worker, written(&good));
    assert_eq!(bench.resolved(), [(offsets(&good)[0], Resolution::Acked)]);
    bench.results(worker, refused(&bad, None));
    assert_eq!(bench.resolved(), [(offsets(&bad)[0], Resolution::Skipped)]);
}

#[test]
fn batches_that_fail_are_told_apart_though_one_frame_answers_for_them() {
    let mut bench = Bench::new(strict());
    let worker = bench.join(singly());
    bench.admit(None, 0..3);
    assert_eq!(bench.offered(worker).len(), 3);
    let failures = [1, 2].map(|id| failure(id, Outcome::Retry { after: None })).to_vec();
    bench.results(worker, Results { failures, ..acked(3, 3) });
    assert_eq!(bench.resolved().len(), 3, "each was alone in its batch");
}

#[test]
fn what_failed_in_a_batch_takes_nothing_new_with_it() {
    let (mut bench, worker) = with(5, settings());
    let batch = next_batch(&mut bench, worker);
    bench.results(worker, refused(&batch, None));
    bench.pass(LONG);
    bench.admit(None, 10..13);
    let batches: Vec<_> = std::iter::from_fn(|| bench.dispatch.poll_batch(bench.now, worker))
        .map(|batch| offsets(&batch))
        .collect();
    assert_eq!(batches.iter().map(Vec::len).collect::<Vec<_>>(), [2, 2, 1, 3]);
    assert_eq!(batches[3], [10, 11, 12]);
}

#[test]
fn what_failed_alone_while_others_succeed_comes_alone_again() {
    let (mut bench, worker) = with(1, settings());
    let alone = next_batch(&mut bench, worker);
    bench.admit(None, [5]);
    let other = next_batch(&mut bench, worker);
    bench.results(worker, written(&other));
    bench.results(worker, refused(&alone, None));
    bench.pass(LONG);
    bench.admit(None, [6]);
    assert_eq!(offsets(&next_batch(&mut bench, worker)), [0]);
    assert_eq!(offsets(&next_batch(&mut bench, worker)), [6]);
}

#[test]
fn a_batch_that_fails_is_one_sign_of_an_outage_however_large_it_is() {
    let (mut bench, worker) = with(50, settings());
    for round in 1..20 {
        let batch = next_batch(&mut bench, worker);
        bench.results(worker, refused(&batch, Some(Duration::from_secs(3600))));
        let first = round * 100;
        (first..first + 50).for_each(|offset| bench.admit(Some(&format!("k{offset}")), [offset]));
    }
    assert_eq!(bench.dispatch.breaker(), Breaker::Closed);
    let batch = next_batch(&mut bench, worker);
    bench.results(worker, refused(&batch, None));
    assert_eq!(bench.dispatch.breaker(), Breaker::Open);
}

#[test]
fn batches_that_fail_while_nothing_succeeds_exhaust_nobody() {
    let (mut bench, worker) = with(60, strict());
    for _ in 0..200 {
        while let Some(batch) = bench.dispatch.poll_batch(bench.now, worker) {
            bench.results(worker, refused(&batch, None));
        }
        bench.pass(Duration::from_secs(4));
    }
    assert_eq!(bench.resolved(), []);
    assert_eq!(bench.dispatch.status().held.records, 60);
}
