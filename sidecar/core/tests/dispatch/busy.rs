//! BUSY: the external system takes nothing at present, whatever the record.

use std::time::{Duration, Instant};

use danube_sidecar_core::{
    dispatch::{
        Breaker, Departure, Event, Offer, OnExhausted, RetryPolicy, Settings, WorkerId,
        WorkerSettings,
    },
    outcome::{Outcome, Resolution, Results},
};

use crate::support::*;

const SECOND: Duration = Duration::from_secs(1);

fn busy(after: Duration) -> Outcome {
    Outcome::Busy { after: Some(after) }
}

fn all(batch: &[Offer], outcome: Outcome) -> Results {
    let fail = |offer: &Offer| failure(offer.delivery.0, outcome);
    Results { acked: vec![], failures: batch.iter().map(fail).collect() }
}

/// The first failure that counts exhausts a record.
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

#[test]
fn busy_is_never_an_attempt_and_no_sign_of_an_outage() {
    let (mut bench, worker) = with(100, strict());
    bench.admit(None, [1000]);
    let offers = bench.poll(worker);
    let last = offers.last().expect("a record").delivery.0;
    bench.ack(worker, last);
    bench.results(worker, all(&offers[..100], busy(SECOND)));
    assert_eq!(bench.resolved(), [(1000, Resolution::Acked)]);
    assert_eq!(bench.dispatch.breaker(), Breaker::Closed);
    assert_eq!(bench.dispatch.failing(10, |_| true), []);
}

#[test]
fn a_busy_worker_gets_nothing_until_its_pause_has_passed_and_then_one_record() {
    let (mut bench, worker) = with(10, settings());
    let offers = bench.poll(worker);
    bench.results(worker, all(&offers, busy(60 * SECOND)));
    assert_eq!(bench.offered(worker), []);
    assert_eq!(bench.dispatch.next_wakeup(bench.now), Some(bench.now + 60 * SECOND));
    bench.pass(59 * SECOND);
    assert_eq!(bench.offered(worker), []);
    bench.pass(SECOND);
    for expected in [1, 2, 4] {
        let offers = bench.poll(worker);
        assert_eq!(offers.len(), expected);
        offers.iter().for_each(|offer| bench.ack(worker, offer.delivery.0));
    }
}

#[test]
fn what_else_a_busy_worker_has_in_hand_stays_with_it() {
    let (mut bench, worker) = with(3, settings());
    bench.poll(worker);
    bench.fail(worker, 2, busy(SECOND));
    bench.ack(worker, 1);
    bench.ack(worker, 3);
    assert_eq!(bench.resolved(), [(0, Resolution::Acked), (2, Resolution::Acked)]);
}

#[test]
fn its_lanes_wait_for_a_busy_worker_and_what_is_nobodys_goes_to_the_others() {
    let mut bench = Bench::new(settings());
    let first = bench.join(worker());
    bench.admit(Some("a"), [0]);
    assert_eq!(bench.offered(first), [(0, 1)]);
    bench.fail(first, 1, busy(3600 * SECOND));
    let second = bench.join(worker());
    bench.admit(Some("a"), [1]);
    bench.admit(None, [2, 3]);
    assert_eq!(bench.offered(first), []);
    assert_eq!(bench.offered(second), [(2, 1), (3, 1)]);
    bench.pass(3600 * SECOND);
    assert_eq!(bench.offered(first), [(0, 2)]);
}

#[test]
fn when_a_busy_worker_leaves_its_lanes_go_to_the_others() {
    let mut bench = Bench::new(settings());
    let first = bench.join(worker());
    bench.admit(Some("a"), [0, 1]);
    assert_eq!(bench.offered(first).len(), 2);
    bench
        .results(first, Results { acked: vec![], failures: vec![failure(1, busy(3600 * SECOND))] });
    let second = bench.join(worker());
    bench.dispatch.leave(bench.now, first, Departure::Released);
    assert_eq!(bench.offered(second), [(0, 2), (1, 2)]);
}

#[test]
fn what_is_in_hand_behind_a_busy_record_of_its_lane_has_not_failed() {
    let mut bench = Bench::new(strict());
    let worker = bench.join(worker());
    bench.admit(Some("a"), 0..3);
    bench.admit(None, [9]);
    bench.offered(worker);
    let failures = vec![failure(1, busy(SECOND)), failure(2, Outcome::Retry { after: None })];
    bench.results(worker, Results { failures, ..acked(4, 4) });
    assert_eq!(bench.resolved(), [(9, Resolution::Acked)]);
    bench.pass(SECOND);
    assert_eq!(bench.offered(worker), [(0, 2)]);
}

#[test]
fn a_trial_that_finds_the_system_busy_opens_nothing_and_another_follows() {
    let mut bench = Bench::new(settings());
    let worker = bench.join(singly());
    bench.admit(None, 0..20);
    bench.offered(worker);
    (1..=20).for_each(|delivery| bench.retry(worker, delivery));
    bench.pass(4 * SECOND);
    assert_eq!(bench.offered(worker).len(), 1);
    bench.breakers();
    bench.fail(worker, 21, busy(SECOND));
    assert_eq!((bench.breakers(), bench.dispatch.breaker()), (vec![], Breaker::HalfOpen));
    assert_eq!(bench.offered(worker), []);
    bench.pass(SECOND);
    assert_eq!(bench.offered(worker).len(), 1);
}

#[test]
fn a_pause_is_told_when_it_begins_and_when_it_has_passed_and_shown_between() {
    let (mut bench, worker) = with(3, settings());
    bench.poll(worker);
    bench.fail(worker, 1, busy(5 * SECOND));
    bench.fail(worker, 2, busy(5 * SECOND));
    assert!(matches!(&bench.events()[..], [Event::Busy { worker: id }] if *id == worker));
    let shown: Vec<_> = bench.dispatch.busy_workers().collect();
    let [shown] = &shown[..] else { panic!("{shown:?}") };
    assert_eq!((shown.worker, shown.until), (worker, Some(bench.now + 5 * SECOND)));
    assert_eq!((&*shown.code, &*shown.reason), ("DOWN", "connection refused"));
    bench.pass(5 * SECOND);
    assert!(matches!(&bench.events()[..], [Event::PauseEnded { worker: id }] if *id == worker));
}

/// An API that takes so many requests a second, as a bucket of tokens, and says after how
/// many whole seconds it takes the next one.
struct Api {
    rate: f64,
    tokens: f64,
    at: Instant,
    refused: u32,
}

impl Api {
    fn takes(&mut self, now: Instant) -> bool {
        self.tokens = (self.tokens + (now - self.at).as_secs_f64() * self.rate).min(self.rate);
        self.at = now;
        let takes = self.tokens >= 1.0;
        self.tokens -= f64::from(u8::from(takes));
        self.refused += u32::from(!takes);
        takes
    }
}

/// How the records fare with a sink that sends a request for each, or one for a batch, and
/// says BUSY of what is refused, and of what comes behind it in its batch.
fn write_to_an_api(
    rate: f64,
    one_for_all: bool,
    settings: WorkerSettings,
) -> (u32, usize, Duration) {
    let mut bench = Bench::new(strict());
    let worker = bench.join(settings);
    (0..500).for_each(|offset| bench.admit(Some(&format!("k{offset}")), [offset]));
    let begin = bench.now;
    let mut api = Api { rate, tokens: rate, at: begin, refused: 0 };
    let mut resolved = Vec::new();
    while resolved.len() < 500 {
        while let Some(batch) = bench.dispatch.poll_batch(bench.now, worker) {
            let mut taken = 0;
            while taken < batch.len() && api.takes(bench.now) {
                bench.now += Duration::from_millis(20);
                taken = if one_for_all { batch.len() } else { taken + 1 };
            }
            let mut results = all(&batch[taken..], busy(SECOND));
            if taken > 0 {
                results.acked = acked(batch[0].delivery.0, batch[taken - 1].delivery.0).acked;
            }
            bench.results(worker, results);
        }
        resolved.extend(bench.resolved());
        let wakeup = bench.dispatch.next_wakeup(bench.now);
        bench.now = wakeup.unwrap_or(bench.now + Duration::from_millis(100));
        assert!(bench.now - begin < 2000 * SECOND, "{} of 500", resolved.len());
    }
    let written = resolved.iter().filter(|(_, how)| *how == Resolution::Acked).count();
    (api.refused, written, bench.now - begin)
}

#[test]
fn against_an_api_of_two_requests_a_second_all_is_written_and_little_refused() {
    for settings in [worker(), window(20), singly(), window(1)] {
        let (refused, written, took) = write_to_an_api(2.0, false, settings);
        assert_eq!(written, 500);
        assert!(refused * 20 <= 500 + refused, "{refused} requests refused: {settings:?}");
        assert!(took <= 400 * SECOND, "{took:?}, of 250 s at best: {settings:?}");
    }
}

#[test]
fn a_sink_that_needs_one_request_for_a_batch_gets_larger_ones_until_the_api_takes_all() {
    let (refused, written, took) = write_to_an_api(2.0, true, worker());
    assert_eq!(written, 500);
    assert!(refused <= 12 && took <= 100 * SECOND, "{refused} refused, {took:?}");
}

#[test]
fn a_faster_api_is_used_as_well() {
    let (refused, written, took) = write_to_an_api(20.0, false, worker());
    assert_eq!(written, 500);
    assert!(refused <= 25 && took <= 60 * SECOND, "{refused} refused, {took:?}");
}
