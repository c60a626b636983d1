//! Generated histories of a sink connector, with a broker that repeats what is not
//! acked, checked step by step against a model that keeps everything in plain lists.

mod broker;
mod busy;
mod evidence;
mod frames;
mod history;
mod naive;
mod operator;
mod rules;
mod trouble;
mod world;

use proptest::{prelude::*, test_runner::RngAlgorithm};

use self::world::World;

/// XorShift, because proptest's default generator takes most of the time in an
/// unoptimized build.
fn config() -> ProptestConfig {
    ProptestConfig {
        cases: 10_000,
        rng_algorithm: RngAlgorithm::XorShift,
        ..ProptestConfig::default()
    }
}

proptest! {
    #![proptest_config(config())]

    /// Nothing is resolved without a reason, nothing resolved is offered again,
    /// lanes keep their order, windows are never exceeded, and everything resolves
    /// once workers ack.
    #[test]
    fn every_history_keeps_the_rules(
        rules in history::rules(),
        steps in prop::collection::vec(history::step(), 1..90),
    ) {
        World::new(rules).live(steps);
    }

    /// The same where the breaker opens and quarantine finds killers: nothing is
    /// offered beyond what they allow, nobody is convicted against the rule, and
    /// everything resolves once all is well.
    #[test]
    fn every_troubled_history_keeps_the_rules(
        rules in history::rules(),
        steps in prop::collection::vec(history::troubled_step(), 30..150),
    ) {
        World::new(rules).live(steps);
    }
}
