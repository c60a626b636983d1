use danube_sidecar_core::{
    dispatch::{Admission, Settings, WorkerId},
    record::Record,
};

use crate::support::*;

fn finished(bench: &mut Bench, worker: WorkerId, offset: u64) {
    bench.admit(None, [offset]);
    let offers = bench.poll(worker);
    bench.ack(worker, offers[0].delivery.0);
}

fn repeat(bench: &mut Bench, offset: u64) -> Admission {
    bench.dispatch.admit(bench.now, record(offset, None))
}

#[test]
fn the_repeat_of_an_unresolved_record_is_not_offered_twice() {
    let mut bench = Bench::new(settings());
    let worker = bench.join(worker());
    bench.admit(None, [0]);
    assert_eq!(repeat(&mut bench, 0), Admission::InHand);
    assert_eq!(bench.offered(worker), [(0, 1)]);
    assert_eq!(repeat(&mut bench, 0), Admission::InHand);
    assert_eq!(bench.offered(worker), []);
}

#[test]
fn the_repeat_of_a_finished_record_is_acked_again_and_not_offered() {
    let mut bench = Bench::new(settings());
    let worker = bench.join(worker());
    finished(&mut bench, worker, 0);
    assert_eq!(repeat(&mut bench, 0), Admission::Resolved);
    assert_eq!(bench.offered(worker), []);
}

#[test]
fn a_replayed_record_is_offered_although_it_is_finished_and_only_once() {
    let mut bench = Bench::new(settings());
    let worker = bench.join(worker());
    finished(&mut bench, worker, 0);
    let again = |bench: &mut Bench| bench.dispatch.admit_again(bench.now, record(0, None));
    assert_eq!((again(&mut bench), again(&mut bench)), (Admission::Taken, Admission::InHand));
    assert_eq!(bench.offered(worker), [(0, 1)]);
    assert_eq!(repeat(&mut bench, 0), Admission::InHand);
    bench.ack(worker, 2);
    assert_eq!(repeat(&mut bench, 0), Admission::Resolved);
}

#[test]
fn the_same_offset_with_another_message_behind_it_is_new() {
    let mut bench = Bench::new(settings());
    let worker = bench.join(worker());
    finished(&mut bench, worker, 0);
    let mut other: Record = record(0, None);
    other.identity.request_id = 99;
    assert_eq!(bench.dispatch.admit(bench.now, other), Admission::Taken);
}

#[test]
fn the_memory_of_finished_identities_is_bounded() {
    let mut bench = Bench::new(Settings { remember: 3, ..settings() });
    let worker = bench.join(worker());
    for offset in 0..4 {
        finished(&mut bench, worker, offset);
    }
    assert_eq!(repeat(&mut bench, 1), Admission::Resolved, "and so it begins anew");
    assert_eq!(repeat(&mut bench, 0), Admission::Taken);
    for offset in 4..7 {
        finished(&mut bench, worker, offset);
    }
    assert_eq!(repeat(&mut bench, 1), Admission::Resolved);
    assert_eq!(repeat(&mut bench, 2), Admission::Taken);
}

#[test]
fn what_was_never_offered_can_be_forgotten_and_is_new_when_it_comes_again() {
    let mut bench = Bench::new(settings());
    let worker = bench.join(window(2));
    bench.admit(Some("a"), 0..5);
    let elsewhere = record_of("/default/orders-part-1", 9, Some("a"), 10);
    bench.dispatch.admit(bench.now, elsewhere);
    bench.offered(worker);
    assert_eq!(bench.dispatch.forget_unoffered(&partition()), 3);
    assert_eq!(bench.dispatch.unresolved(), 3);

    let again = (0..5).map(|offset| bench.dispatch.admit(bench.now, record(offset, Some("a"))));
    let taken = again.filter(|&admission| admission == Admission::Taken).count();
    assert_eq!(taken, 3);
    bench.results(worker, acked(1, 2));
    bench.dispatch.resize(worker, Some(10), None);
    assert_eq!(bench.offered(worker), [(9, 1), (2, 1), (3, 1), (4, 1)]);
}
