//! The account of every record, in virtual time: the real driver, intake, delivery
//! rules and store (in memory), between a simulated broker and simulated workers,
//! while all of them are killed, cut off and slowed down by a seeded schedule.
//!
//! `SCHEDULES=100000 cargo test -p danube-sidecar --test account` runs more of them;
//! `SEED=n` runs one again.

mod broker;
mod ledger;
mod schedule;
mod worker;

use std::{env, panic, thread};

/// Schedules of a plain test run.
const SCHEDULES: u64 = 10_000;

#[test]
fn published_equals_delivered_equals_effects_whatever_dies() {
    if let Some(seed) = number("SEED") {
        return schedule::run(seed);
    }
    let schedules = number("SCHEDULES").unwrap_or(SCHEDULES);
    let threads = thread::available_parallelism().map_or(1, usize::from) as u64;
    let runs: Vec<Vec<u64>> = thread::scope(|scope| {
        let spawn = |first| scope.spawn(move || run_every(first, threads, schedules));
        let running: Vec<_> = (0..threads).map(spawn).collect();
        running.into_iter().map(|thread| thread.join().expect("it catches panics")).collect()
    });
    let failed = runs.concat();
    assert!(failed.is_empty(), "seeds that fail (run one with SEED=n): {failed:?}");
}

/// The seeds that fail, the first few of them.
fn run_every(first: u64, step: u64, until: u64) -> Vec<u64> {
    let seeds = (first..until).step_by(step as usize);
    seeds.filter(|&seed| panic::catch_unwind(|| schedule::run(seed)).is_err()).take(5).collect()
}

fn number(variable: &str) -> Option<u64> {
    env::var(variable).ok()?.parse().ok()
}
