//! The account of every record, in virtual time: everything that decides runs as it is,
//! between a simulated broker and simulated connectors, while all of them are killed,
//! cut off and slowed down by a seeded schedule. Futures are dropped at each of their
//! awaits, and every call of a store fails, before and after it is done; what was played
//! is counted.
//!
//! `SCHEDULES=100000 cargo test -p danube-sidecar --test account` plays more of them;
//! `SEED=n` plays one again, and tells what happened in it where it fails.

mod faults;
mod sinks;
mod sources;

use std::{
    cell::Cell,
    env, panic,
    sync::Once,
    thread::{self},
};

/// Schedules of a plain test run.
const SCHEDULES: u64 = 10_000;

#[test]
fn published_equals_delivered_equals_effects_whatever_dies() {
    play(sinks::run);
    faults::summarise("sink", &expected(sinks::faults()));
}

#[test]
fn produced_equals_published_equals_committed_whatever_dies() {
    play(sources::run);
    faults::summarise("source", &expected(sources::faults()));
}

/// What must have been played: all of it, where there were schedules enough.
fn expected(faults: Vec<String>) -> Vec<String> {
    let few = number("SEED").is_some() || number("SCHEDULES").is_some_and(|n| n < SCHEDULES);
    if few { Vec::new() } else { faults }
}

/// Plays all schedules, on all processors.
fn play(schedule: fn(u64)) {
    notice_panics();
    if let Some(seed) = number("SEED") {
        return play_one(schedule, seed);
    }
    let schedules = number("SCHEDULES").unwrap_or(SCHEDULES);
    let threads = thread::available_parallelism().map_or(1, usize::from) as u64;
    let runs: Vec<Vec<u64>> = thread::scope(|scope| {
        let spawn = |first| scope.spawn(move || play_every(schedule, first, threads, schedules));
        let running: Vec<_> = (0..threads).map(spawn).collect();
        running.into_iter().map(|thread| thread.join().expect("it catches panics")).collect()
    });
    let failed = runs.concat();
    assert!(failed.is_empty(), "seeds that fail (run one with SEED=n): {failed:?}");
}

/// The seeds that fail, the first few of them.
fn play_every(schedule: fn(u64), first: u64, step: u64, until: u64) -> Vec<u64> {
    let seeds = (first..until).step_by(step as usize);
    let fails = |&seed: &u64| panic::catch_unwind(|| play_one(schedule, seed)).is_err();
    seeds.filter(fails).take(5).collect()
}

thread_local! {
    /// Whether something panicked on this thread, a task too.
    static PANICKED: Cell<bool> = const { Cell::new(false) };
}

/// A panic in a task ends only that task, so the schedule could go well nevertheless.
fn play_one(schedule: fn(u64), seed: u64) {
    PANICKED.set(false);
    schedule(seed);
    assert!(!PANICKED.get(), "a task panicked at seed {seed}");
}

fn notice_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            PANICKED.set(true);
            before(info);
        }));
    });
}

fn number(variable: &str) -> Option<u64> {
    env::var(variable).ok()?.parse().ok()
}
