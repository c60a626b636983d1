//! When a failed record is offered again, and when it is exhausted.

use std::time::{Duration, Instant};

use crate::hash::mix;

/// The retry rules of a connector.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryPolicy {
    /// Failed attempts after the first one that exhaust a record.
    pub max_retries: u32,
    /// Upper bound of the first backoff; doubled at each further failure.
    pub initial_backoff: Duration,
    /// Upper bound of every backoff.
    pub max_backoff: Duration,
    /// From this long after the first failure every failed attempt counts.
    pub max_age: Duration,
}

impl RetryPolicy {
    /// How long to wait after the failure number `failures`: anything between
    /// nothing and the exponential bound (full jitter).
    pub fn backoff(&self, failures: u32, random: &mut SplitMix) -> Duration {
        random.up_to(self.longest_backoff(failures))
    }

    /// The same where nothing else succeeds either: bounded by `longest` besides,
    /// unless the first backoff is longer than that, so that a recovery is noticed
    /// soon.
    pub fn outage_backoff(
        &self,
        failures: u32,
        longest: Duration,
        random: &mut SplitMix,
    ) -> Duration {
        let bound = longest.max(self.initial_backoff);
        random.up_to(self.longest_backoff(failures).min(bound))
    }

    fn longest_backoff(&self, failures: u32) -> Duration {
        let doubled = 1_u32.checked_shl(failures.saturating_sub(1)).unwrap_or(u32::MAX);
        self.initial_backoff.saturating_mul(doubled).min(self.max_backoff)
    }
}

/// What becomes of an exhausted record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnExhausted {
    /// A dead letter.
    DeadLetter,
    /// Given up and counted.
    Skip,
    /// Its lane stands still until an operator resumes it.
    Suspend,
}

/// What follows from a failed attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Offer it again.
    Again,
    /// Offer it again; the failure did not count, because nothing else succeeded.
    Outage,
    /// Give it up.
    Exhausted,
}

/// The failed attempts of one record.
///
/// An attempt counts only where it tells something about the record: another
/// record succeeded since this one's previous attempt (its offer, for the first
/// one), or it has been failing for `max_age`. Otherwise the external system is
/// down, which is not the record's fault.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tries {
    failures: u32,
    counted: u32,
    successes: u64,
    first_failure: Option<Instant>,
}

impl Tries {
    /// The record is offered for the first time, after `successes` of others.
    pub fn begin(&mut self, successes: u64) {
        self.successes = successes;
    }

    /// An attempt failed, after `successes` of others.
    pub fn fail(&mut self, policy: &RetryPolicy, now: Instant, successes: u64) -> Verdict {
        let first = *self.first_failure.get_or_insert(now);
        let aged = now.saturating_duration_since(first) >= policy.max_age;
        let counts = successes > self.successes || aged;
        self.successes = successes;
        self.failures = self.failures.saturating_add(1);
        if !counts {
            return Verdict::Outage;
        }
        if self.failures > 1 {
            self.counted = self.counted.saturating_add(1);
        }
        if self.counted >= policy.max_retries { Verdict::Exhausted } else { Verdict::Again }
    }

    /// How many attempts failed.
    pub fn failures(&self) -> u32 {
        self.failures
    }

    /// How many of them count.
    pub fn counted(&self) -> u32 {
        self.counted
    }

    /// A worker crashed that had it in hand: no failure, but the begin of its trouble.
    pub fn crashed(&mut self, now: Instant) {
        self.first_failure.get_or_insert(now);
    }

    /// Whether any attempt failed.
    pub fn has_failed(&self) -> bool {
        self.failures > 0
    }

    /// When the first attempt failed.
    pub fn first_failure(&self) -> Option<Instant> {
        self.first_failure
    }

    /// Counts anew, as an operator asked for it. The record has still failed.
    pub fn forgive(&mut self, successes: u64) {
        self.counted = 0;
        self.successes = successes;
        self.first_failure = None;
    }
}

/// A small random number generator (SplitMix64, Steele et al. 2014): good enough
/// to spread retries, and the same at every run of a seed.
#[derive(Clone, Debug)]
pub struct SplitMix(u64);

impl SplitMix {
    /// Begins at `seed`.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number, evenly distributed.
    pub fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.0)
    }

    /// Anything between zero and `bound`, evenly distributed.
    pub(crate) fn up_to(&mut self, bound: Duration) -> Duration {
        let nanos = u64::try_from(bound.as_nanos()).unwrap_or(u64::MAX);
        let scaled = (u128::from(self.next_u64()) * u128::from(nanos)) >> 64;
        Duration::from_nanos(scaled as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLICY: RetryPolicy = RetryPolicy {
        max_retries: 3,
        initial_backoff: Duration::from_secs(1),
        max_backoff: Duration::from_secs(30),
        max_age: Duration::from_secs(86_400),
    };

    /// Fails the record once after each of the given totals of successes.
    fn verdicts(policy: RetryPolicy, successes: &[u64]) -> Vec<Verdict> {
        let now = Instant::now();
        let mut tries = Tries::default();
        successes.iter().map(|&total| tries.fail(&policy, now, total)).collect()
    }

    #[test]
    fn the_third_retry_that_counts_exhausts() {
        use Verdict::{Again, Exhausted};
        assert_eq!(verdicts(POLICY, &[1, 2, 3, 4]), [Again, Again, Again, Exhausted]);
    }

    #[test]
    fn attempts_without_a_success_of_another_record_do_not_count() {
        use Verdict::{Again, Exhausted, Outage};
        assert!(verdicts(POLICY, &[0; 1000]).iter().all(|&verdict| verdict == Outage));
        let with_outage = verdicts(POLICY, &[1, 2, 2, 2, 2, 3, 4]);
        assert_eq!(with_outage, [Again, Again, Outage, Outage, Outage, Again, Exhausted]);
    }

    #[test]
    fn without_retries_the_first_failure_that_counts_exhausts() {
        use Verdict::{Exhausted, Outage};
        let policy = RetryPolicy { max_retries: 0, ..POLICY };
        assert_eq!(verdicts(policy, &[0, 0, 1]), [Outage, Outage, Exhausted]);
    }

    #[test]
    fn after_max_age_every_attempt_counts() {
        let start = Instant::now();
        let mut tries = Tries::default();
        tries.fail(&POLICY, start, 0);
        let late = start + POLICY.max_age;
        let verdicts: Vec<_> = (0..3).map(|_| tries.fail(&POLICY, late, 0)).collect();
        assert_eq!(verdicts, [Verdict::Again, Verdict::Again, Verdict::Exhausted]);
    }

    #[test]
    fn forgiven_tries_count_from_the_start() {
        let now = Instant::now();
        let mut tries = Tries::default();
        for successes in 1..=4 {
            tries.fail(&POLICY, now, successes);
        }
        tries.forgive(4);
        assert_eq!(tries.fail(&POLICY, now, 5), Verdict::Again);
        assert!(tries.has_failed());
    }

    #[test]
    fn the_backoff_is_jittered_below_an_exponential_bound() {
        let mut random = SplitMix::new(7);
        for (failures, bound) in [(1, 1), (2, 2), (3, 4), (5, 16), (6, 30), (40, 30)] {
            let bound = Duration::from_secs(bound);
            let backoffs: Vec<_> =
                (0..200).map(|_| POLICY.backoff(failures, &mut random)).collect();
            assert!(backoffs.iter().all(|&backoff| backoff <= bound));
            assert!(backoffs.iter().any(|&backoff| backoff < bound / 4));
            assert!(backoffs.iter().any(|&backoff| backoff > bound / 4 * 3));
        }
    }

    #[test]
    fn in_an_outage_the_backoff_has_a_bound_of_its_own() {
        let mut random = SplitMix::new(7);
        let four = Duration::from_secs(4);
        for (initial, bound) in [(1, 4), (10, 10)].map(|(i, b)| (i, Duration::from_secs(b))) {
            let policy = RetryPolicy { initial_backoff: Duration::from_secs(initial), ..POLICY };
            let backoffs: Vec<_> =
                (0..200).map(|_| policy.outage_backoff(20, four, &mut random)).collect();
            assert!(backoffs.iter().all(|&backoff| backoff <= bound));
            assert!(backoffs.iter().any(|&backoff| backoff > bound / 4 * 3));
        }
    }

    #[test]
    fn endless_durations_do_not_overflow() {
        let endless =
            RetryPolicy { initial_backoff: Duration::MAX, max_backoff: Duration::MAX, ..POLICY };
        assert!(endless.backoff(u32::MAX, &mut SplitMix::new(1)) > Duration::from_secs(1));
    }
}
