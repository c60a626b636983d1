use danube_sidecar_core::{
    dispatch::{Event, OnExhausted, Settings},
    outcome::{FailureClass, Outcome, Resolution},
};

use crate::support::*;

/// Lets offset 0 fail until it is exhausted, while another record succeeds between
/// its attempts; tells what became of it.
fn exhaust(bench: &mut Bench) -> Vec<Event> {
    let worker = bench.join(worker());
    bench.admit(Some("a"), [0]);
    loop {
        let offers = bench.poll(worker);
        let [offer] = &offers[..] else { panic!("one offer, not {offers:?}") };
        bench.retry(worker, offer.delivery.0);
        let events = bench.events();
        if !matches!(&events[..], [Event::Retrying { .. }]) {
            return events;
        }
        bench.admit(None, [u64::from(offer.attempt)]);
        let other = bench.poll(worker);
        bench.ack(worker, other[0].delivery.0);
        bench.pass(LONG);
        bench.events();
    }
}

#[test]
fn an_exhausted_record_becomes_a_dead_letter_and_holds_its_lane_until_confirmed() {
    let mut bench = Bench::new(settings());
    let events = exhaust(&mut bench);
    let letters: Vec<_> = events.iter().filter_map(letter).collect();
    let [letter] = &letters[..] else { panic!("one dead letter, not {events:?}") };
    assert_eq!((letter.class, letter.attempt), (FailureClass::Exhausted, 4));
    assert_eq!((&letter.code[..], &letter.reason[..]), ("DOWN", "connection refused"));
    assert!(letter.first_failure < bench.now);

    let worker = bench.join(worker());
    bench.admit(Some("a"), [9]);
    assert_eq!(bench.offered(worker), []);
    bench.dispatch.dead_lettered(bench.now, letter.id);
    assert_eq!(bench.resolved(), [(0, Resolution::DeadLettered)]);
}

#[test]
fn an_exhausted_record_is_skipped_where_the_operator_said_so() {
    let mut bench = Bench::new(Settings { on_exhausted: OnExhausted::Skip, ..settings() });
    let events = exhaust(&mut bench);
    let [Event::GivenUp(letter), Event::Resolved { offset: 0, how, .. }] = &events[..] else {
        panic!("{events:?}")
    };
    assert_eq!((letter.class, *how), (FailureClass::Exhausted, Resolution::Skipped));
}

#[test]
fn a_suspended_record_holds_its_lane_until_it_is_resumed() {
    let mut bench = Bench::new(Settings { on_exhausted: OnExhausted::Suspend, ..settings() });
    let events = exhaust(&mut bench);
    assert!(matches!(&events[..], [Event::Suspended { attempt: 4, .. }]), "{events:?}");
    assert_eq!(bench.dispatch.status().suspended, 1);

    bench.admit(Some("a"), [9]);
    bench.pass(LONG);
    assert!(bench.dispatch.poll_any(bench.now).is_none());
    bench.dispatch.resume(bench.now);
    let (worker, offers) = bench.dispatch.poll_any(bench.now).expect("the suspended record");
    assert_eq!((offers.len(), offers[0].record.identity.offset, offers[0].attempt), (1, 0, 5));
    bench.ack(worker, offers[0].delivery.0);
    assert_eq!(bench.resolved(), [(0, Resolution::Acked)]);
}

#[test]
fn a_rejected_record_is_resolved_when_its_dead_letter_is_confirmed() {
    let mut bench = Bench::new(settings());
    let worker = bench.join(worker());
    bench.admit(Some("a"), [0]);
    bench.offered(worker);
    bench.fail(worker, 1, Outcome::Reject);
    let events = bench.events();
    let [Event::DeadLetter(letter)] = &events[..] else { panic!("{events:?}") };
    assert_eq!((letter.class, letter.attempt), (FailureClass::Reject, 1));
    assert_eq!(bench.dispatch.status().dead_letters_pending, 1);
    bench.dispatch.dead_lettered(bench.now, letter.id);
    assert_eq!(bench.resolved(), [(0, Resolution::DeadLettered)]);
    bench.dispatch.dead_lettered(bench.now, letter.id);
    assert_eq!(bench.resolved(), []);
}

#[test]
fn without_dead_letters_a_rejected_record_is_skipped() {
    let mut bench = Bench::new(Settings { dead_letters: false, ..settings() });
    let worker = bench.join(worker());
    bench.admit(Some("a"), [0]);
    bench.offered(worker);
    bench.fail(worker, 1, Outcome::Reject);
    let events = bench.events();
    assert!(matches!(&events[0], Event::GivenUp(letter) if letter.class == FailureClass::Reject));
    assert!(matches!(&events[1], Event::Resolved { how: Resolution::Skipped, .. }));
}

#[test]
fn a_filtered_record_is_resolved_and_told_apart() {
    let mut bench = Bench::new(settings());
    let worker = bench.join(worker());
    bench.admit(Some("a"), [0]);
    bench.offered(worker);
    bench.fail(worker, 1, Outcome::Filtered);
    assert_eq!(bench.resolved(), [(0, Resolution::Filtered)]);
}

#[test]
fn a_record_too_large_for_a_frame_is_a_dead_letter_and_never_offered() {
    let mut bench = Bench::new(Settings { max_record_bytes: 500, ..settings() });
    let worker = bench.join(worker());
    let large = record_of(PARTITION, 0, Some("a"), 1000);
    bench.dispatch.admit(bench.now, large);
    bench.admit(Some("a"), [1]);
    assert_eq!(bench.offered(worker), [(1, 1)]);
    let events = bench.events();
    let [Event::DeadLetter(letter)] = &events[..] else { panic!("{events:?}") };
    assert_eq!((letter.class, letter.attempt), (FailureClass::Oversize, 0));
    bench.dispatch.dead_lettered(bench.now, letter.id);
    assert_eq!(bench.resolved(), [(0, Resolution::DeadLettered)]);
}
