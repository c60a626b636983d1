use std::time::Duration;

use danube_sidecar_core::{
    dispatch::{
        Breaker, DeadLetter, Departure, Event, Health, Settings, Suspicion, WorkerId,
        WorkerSettings,
    },
    outcome::{FailureClass, Outcome, Resolution},
    record::Fingerprint,
};

use crate::support::*;

/// Longer than a suspect is left aside.
const ASIDE: Duration = Duration::from_secs(4);

impl Bench {
    /// The worker crashes and another one comes.
    fn crash(&mut self, id: WorkerId) -> WorkerId {
        self.dispatch.leave(self.now, id, Departure::Crashed);
        self.join(worker())
    }

    fn suspicions(&mut self) -> Vec<(Fingerprint, Option<Suspicion>)> {
        let events = self.events().into_iter();
        events
            .filter_map(|event| match event {
                Event::Suspected { fingerprint, suspicion } => Some((fingerprint, suspicion)),
                _ => None,
            })
            .collect()
    }

    fn crash_letters(&mut self) -> Vec<DeadLetter> {
        let events = self.events();
        let letters = events.iter().filter_map(letter).cloned();
        letters.filter(|letter| letter.class == FailureClass::Crash).collect()
    }
}

/// Two crashes with offsets 0, 1 and 2 in hand, of three keys.
fn three_suspects() -> (Bench, WorkerId) {
    suspects_of_settings(settings())
}

fn suspects_of_settings(settings: Settings) -> (Bench, WorkerId) {
    let mut bench = Bench::new(settings);
    let worker = bench.join(worker());
    suspects_of(bench, worker)
}

fn suspects_of(mut bench: Bench, mut worker: WorkerId) -> (Bench, WorkerId) {
    for (offset, key) in ["a", "b", "c"].into_iter().enumerate() {
        bench.admit(Some(key), [offset as u64]);
    }
    for _ in 0..2 {
        assert_eq!(bench.offered(worker).len(), 3);
        worker = bench.crash(worker);
    }
    (bench, worker)
}

/// Offset 0 was alone at a crash, and everything else has been acked since.
fn crashed_alone_once() -> (Bench, WorkerId) {
    let (bench, worker) = three_suspects();
    alone_once(bench, worker)
}

fn alone_once(mut bench: Bench, worker: WorkerId) -> (Bench, WorkerId) {
    assert_eq!(bench.offered(worker), [(0, 3)]);
    let next = bench.crash(worker);
    for (delivery, offset) in [(1, 1), (2, 2)] {
        assert_eq!(bench.offered(next), [(offset, 3)]);
        bench.ack(next, delivery);
    }
    (bench, next)
}

#[test]
fn what_was_in_hand_at_two_crashes_is_offered_alone_one_by_one_and_in_order() {
    let (mut bench, worker) = three_suspects();
    bench.admit(None, [9]);
    for (offset, delivery) in [(0, 1), (1, 2), (2, 3)] {
        assert_eq!(bench.offered(worker), [(offset, 3)]);
        assert_eq!(bench.offered(worker), []);
        bench.ack(worker, delivery);
    }
    assert_eq!(bench.offered(worker), [(9, 1)]);
    assert_eq!(bench.dispatch.status().suspects, 0);
}

#[test]
fn a_suspect_waits_until_its_worker_holds_nothing_else() {
    let mut bench = Bench::new(settings());
    let staying = bench.join(window(1));
    bench.admit(None, [9]);
    assert_eq!(bench.offered(staying), [(9, 1)]);
    bench.admit(None, 0..2);
    for _ in 0..2 {
        let crashing = bench.join(worker());
        assert_eq!(bench.offered(crashing).len(), 2);
        bench.dispatch.leave(bench.now, crashing, Departure::Crashed);
    }
    bench.dispatch.resize(staying, Some(10), None);
    bench.admit(None, [10]);
    assert_eq!(bench.offered(staying), []);
    bench.ack(staying, 1);
    assert_eq!(bench.offered(staying), [(0, 3)]);
}

#[test]
fn a_paused_worker_gets_no_suspect() {
    let (mut bench, first) = three_suspects();
    bench.dispatch.resize(first, Some(0), None);
    assert_eq!(bench.offered(first), []);
    bench.dispatch.resize(first, Some(10), None);
    assert_eq!(bench.offered(first), [(0, 3)]);
}

#[test]
fn without_dead_letters_a_killer_is_given_up() {
    let (bench, worker) = suspects_of_settings(Settings { dead_letters: false, ..settings() });
    let (mut bench, worker) = alone_once(bench, worker);
    bench.pass(ASIDE);
    bench.offered(worker);
    bench.events();
    bench.crash(worker);
    let events = bench.events();
    let given_up = |event: &Event| matches!(event, Event::GivenUp(letter) if letter.class == FailureClass::Crash);
    assert!(events.iter().any(given_up), "{events:?}");
    let skipped = |event: &Event| {
        matches!(event, Event::Resolved { offset: 0, how: Resolution::Skipped, .. })
    };
    assert!(events.iter().any(skipped), "{events:?}");
}

#[test]
fn other_workers_go_on_meanwhile() {
    let (mut bench, first) = three_suspects();
    let second = bench.join(worker());
    bench.admit(None, 10..20);
    let (one, two) = (bench.offered(first), bench.offered(second));
    assert_eq!((one, two.len()), (vec![(0, 3)], 10));
    bench.dispatch.leave(bench.now, second, Departure::Crashed);
    assert_eq!(bench.suspicions().len(), 3, "only those of the first two crashes");
}

#[test]
fn a_suspect_holds_its_lane() {
    let (mut bench, worker) = three_suspects();
    bench.admit(Some("a"), [5]);
    assert_eq!(bench.dispatch.status().lanes_held, 1);
    assert_eq!(bench.offered(worker), [(0, 3)]);
    bench.ack(worker, 1);
    for (offset, attempt, delivery) in [(1, 3, 2), (2, 3, 3), (5, 1, 4)] {
        assert_eq!(bench.offered(worker), [(offset, attempt)]);
        bench.ack(worker, delivery);
    }
}

#[test]
fn alone_at_two_crashes_with_a_success_between_is_a_dead_letter() {
    let (mut bench, worker) = crashed_alone_once();
    bench.pass(ASIDE);
    assert_eq!(bench.offered(worker), [(0, 4)]);
    bench.crash(worker);
    let letters = bench.crash_letters();
    let [letter] = &letters[..] else { panic!("one letter, not {letters:?}") };
    assert_eq!((letter.record.identity.offset, letter.attempt), (0, 4));
    assert!(letter.reason.contains("4 times"), "{}", letter.reason);
    bench.dispatch.dead_lettered(bench.now, letter.id);
    assert_eq!(bench.resolved(), [(0, Resolution::DeadLettered)]);
}

#[test]
fn a_convict_holds_its_lane_until_its_letter_is_confirmed() {
    let (mut bench, worker) = crashed_alone_once();
    bench.admit(Some("a"), [5]);
    bench.pass(ASIDE);
    bench.offered(worker);
    let next = bench.crash(worker);
    let letters = bench.crash_letters();
    assert_eq!(bench.offered(next), []);
    bench.dispatch.dead_lettered(bench.now, letters[0].id);
    assert_eq!(bench.offered(next), [(5, 1)]);
}

#[test]
fn after_a_crash_alone_a_suspect_is_left_aside_while_others_flow() {
    let (mut bench, worker) = crashed_alone_once();
    bench.admit(None, [9]);
    assert_eq!(bench.offered(worker), [(9, 1)]);
    bench.pass(Duration::from_millis(999));
    assert_eq!(bench.offered(worker), []);
    bench.ack(worker, 3);
    bench.pass(Duration::from_millis(1));
    assert_eq!(bench.offered(worker), [(0, 4)]);
}

#[test]
fn a_suspect_that_was_long_in_hand_is_left_aside_for_longer() {
    let (mut bench, worker) = three_suspects();
    assert_eq!(bench.offered(worker), [(0, 3)]);
    bench.pass(Duration::from_millis(125));
    let next = bench.crash(worker);
    bench.pass(Duration::from_millis(1999));
    assert_eq!(bench.offered(next), [(1, 3)]);
    bench.ack(next, 1);
    assert_eq!(bench.offered(next), [(2, 3)]);
    bench.ack(next, 2);
    bench.pass(Duration::from_millis(1));
    assert_eq!(bench.offered(next), [(0, 4)]);
}

#[test]
fn when_nothing_succeeds_the_breaker_opens_and_nobody_is_convicted() {
    let (mut bench, mut worker) = three_suspects();
    assert_eq!(bench.offered(worker), [(0, 3)]);
    worker = bench.crash(worker);
    assert_eq!(bench.breakers(), []);
    assert_eq!(bench.offered(worker), [(1, 3)]);
    bench.dispatch.leave(bench.now, worker, Departure::Crashed);
    assert_eq!(bench.breakers(), [Breaker::Open]);
    for _ in 0..50 {
        worker = bench.join(worker_settings());
        bench.pass(ASIDE);
        assert_eq!(bench.offered(worker).len(), 1);
        bench.dispatch.leave(bench.now, worker, Departure::Crashed);
        assert_eq!(bench.dispatch.breaker(), Breaker::Open);
    }
    assert!(bench.crash_letters().is_empty());
}

#[test]
fn where_workers_also_crash_without_it_a_suspect_needs_one_crash_more() {
    let mut bench = Bench::new(settings());
    let idle = bench.join(worker());
    let worker = bench.crash(idle);
    let (bench, worker) = suspects_of(bench, worker);
    let (mut bench, mut worker) = alone_once(bench, worker);
    for (letters, other) in [(0, 50), (1, 51)] {
        bench.pass(ASIDE);
        assert_eq!(bench.poll(worker).len(), 1);
        worker = bench.crash(worker);
        assert_eq!(bench.crash_letters().len(), letters);
        bench.admit(None, [other]);
        assert_eq!(bench.offered(worker), [(other, 1)]);
        bench.ack(worker, 1);
    }
}

#[test]
fn a_crash_of_others_speaks_for_a_suspect() {
    let (mut bench, worker) = crashed_alone_once();
    bench.admit(None, [9]);
    assert_eq!(bench.offered(worker), [(9, 1)]);
    bench.suspicions();
    let next = bench.crash(worker);
    let [(_, Some(suspicion))] = bench.suspicions()[..] else { panic!("one suspicion") };
    assert_eq!((suspicion.alone, suspicion.in_a_row), (1, 0));
    assert_eq!(bench.offered(next), [(9, 2)]);
}

#[test]
fn a_suspect_that_succeeds_is_cleared_at_once() {
    for outcome in [None, Some(Outcome::Filtered), Some(Outcome::Reject)] {
        let (mut bench, worker) = crashed_alone_once();
        bench.pass(ASIDE);
        bench.offered(worker);
        bench.suspicions();
        match outcome {
            None => bench.ack(worker, 3),
            Some(outcome) => bench.fail(worker, 3, outcome),
        }
        assert_eq!(bench.suspicions(), [(record(0, None).identity.fingerprint(), None)]);
        assert_eq!(bench.dispatch.status().suspects, 0);
    }
}

#[test]
fn a_suspect_that_is_to_be_retried_stays_one_and_survived() {
    let (mut bench, worker) = crashed_alone_once();
    bench.pass(ASIDE);
    bench.offered(worker);
    bench.suspicions();
    bench.retry(worker, 3);
    let [(_, Some(suspicion))] = bench.suspicions()[..] else { panic!("one suspicion") };
    assert_eq!((suspicion.crashes, suspicion.in_a_row), (3, 0));
    bench.pass(LONG);
    assert_eq!(bench.offered(worker), [(0, 5)]);
}

#[test]
fn released_workers_make_no_suspects() {
    let mut bench = Bench::new(settings());
    bench.admit(Some("a"), [0]);
    for _ in 0..5 {
        let id = bench.join(worker());
        bench.offered(id);
        bench.dispatch.leave(bench.now, id, Departure::Released);
    }
    assert!(bench.suspicions().is_empty());
}

#[test]
fn suspicion_survives_a_restart() {
    let (mut before, worker) = three_suspects();
    before.offered(worker);
    before.crash(worker);
    let mut stored = std::collections::BTreeMap::new();
    for (fingerprint, suspicion) in before.suspicions() {
        stored.insert(fingerprint, suspicion.expect("none is cleared yet"));
    }
    let mut bench = Bench::new(settings());
    bench.dispatch.recall(stored);
    let worker = bench.join(worker_settings());
    bench.admit(Some("a"), [7]);
    for (offset, key) in ["a", "b", "c"].into_iter().enumerate() {
        bench.admit(Some(key), [offset as u64]);
    }
    bench.admit(Some("a"), [8]);
    assert_eq!(bench.offered(worker), [(1, 1)], "the first that heads its lane");
    bench.ack(worker, 1);
    assert_eq!(bench.offered(worker), [(2, 1)]);
    bench.ack(worker, 2);
    assert_eq!(bench.offered(worker), [(7, 1)]);
    bench.ack(worker, 3);
    let offers = bench.poll(worker);
    assert_eq!((offers.len(), offers[0].record.identity.offset, offers[0].crashes), (1, 0, 3));
    bench.suspicions();
    bench.crash(worker);
    assert_eq!(bench.crash_letters().len(), 1, "its second crash alone");
}

#[test]
fn a_recalled_suspect_that_is_forgotten_is_one_when_it_comes_again() {
    let mut bench = Bench::new(settings());
    let fingerprint = record(0, Some("a")).identity.fingerprint();
    bench.dispatch.recall([(fingerprint, Suspicion { crashes: 2, ..Suspicion::default() })]);
    for _ in 0..2 {
        bench.admit(Some("a"), 0..2);
        assert_eq!(bench.dispatch.status().suspects, 1);
        assert_eq!(bench.dispatch.forget_unoffered(&partition()), 2);
        assert_eq!(bench.dispatch.status().suspects, 0);
    }
}

#[test]
fn what_is_recalled_is_bounded_and_the_store_is_told_what_is_not() {
    let mut bench = Bench::new(settings());
    bench.dispatch.recall((0..10_001).map(|n| (Fingerprint(n), Suspicion::default())));
    assert_eq!(bench.suspicions(), [(Fingerprint(10_000), None)]);
}

#[test]
fn while_half_open_a_suspect_is_tried_only_where_there_is_nothing_else() {
    let (mut bench, worker) = three_suspects();
    bench.offered(worker);
    let next = bench.crash(worker);
    bench.offered(next);
    bench.dispatch.leave(bench.now, next, Departure::Crashed);
    bench.admit(None, [9]);
    let last = bench.join(worker_settings());
    assert_eq!(bench.dispatch.breaker(), Breaker::HalfOpen);
    assert_eq!(bench.offered(last), [(9, 1)]);
}

/// A worker that says how its external system is.
fn asked() -> WorkerSettings {
    WorkerSettings { probe: true, ..worker() }
}

#[test]
fn a_suspect_waits_until_its_worker_said_how_the_external_system_is_or_did_not_in_time() {
    for said in [true, false] {
        let (mut bench, worker) = three_suspects();
        bench.dispatch.leave(bench.now, worker, Departure::Released);
        let id = bench.join(asked());
        assert_eq!(bench.offered(id), []);
        if said {
            bench.dispatch.health(id, Health::Unwell);
        } else {
            let patience = Duration::from_secs(5);
            assert_eq!(bench.dispatch.next_wakeup(bench.now), Some(bench.now + patience));
            bench.pass(patience);
        }
        assert_eq!(bench.offered(id), [(0, 3)]);
    }
}
