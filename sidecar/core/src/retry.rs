//! When a failed record is offered again, and when it is exhausted.

use std::time::{Duration, Instant};

use crate::{dispatch::Evidence, hash::mix};

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
    /// The same where nothing else is there to be tried and nobody can say how the
    /// external system is.
    pub max_age_alone: Duration,
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
    /// Offer it again; the failure did not count: there is no evidence against it.
    Outage,
    /// Give it up.
    Exhausted,
}

/// The failed attempts of one record.
///
/// An attempt counts only where it tells something about the record: there is
/// [`Evidence`] since this one's previous attempt (its offer, for the first one), or it
/// has been failing for `max_age`. Otherwise the external system is down, which is not
/// the record's fault.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tries {
    /// Of the record alone; for the backoff, which ends to grow long before this is full.
    failures: u8,
    /// Alone or together with others.
    failed: bool,
    counted: u32,
    /// Failures together with others that will count once it has failed alone, too.
    together: u8,
    /// The last sign before its last attempt.
    sign: u64,
    first_failure: Option<Instant>,
}

impl Tries {
    /// The record is offered, and nothing went wrong with it yet, after this sign.
    pub fn begin(&mut self, sign: u64) {
        self.sign = sign;
    }

    /// An attempt failed, after this sign.
    pub fn fail(
        &mut self,
        policy: &RetryPolicy,
        now: Instant,
        sign: u64,
        evidence: Evidence,
    ) -> Verdict {
        let first = *self.first_failure.get_or_insert(now);
        self.failed = true;
        let age = now.saturating_duration_since(first);
        let counts = match evidence {
            Evidence::OtherSucceeded | Evidence::SystemWell => true,
            Evidence::Alone => age >= policy.max_age_alone.min(policy.max_age),
            Evidence::None => age >= policy.max_age,
        };
        self.sign = sign;
        self.failures = self.failures.saturating_add(1);
        if !counts {
            return Verdict::Outage;
        }
        // It is the one to blame: what failed with it was written.
        let retries = u32::from(std::mem::take(&mut self.together));
        self.counted = self.counted.saturating_add(retries + u32::from(self.failures > 1));
        if self.counted >= policy.max_retries { Verdict::Exhausted } else { Verdict::Again }
    }

    /// The record failed together with others, after this sign. Which one is to blame is
    /// not known yet: it counts once the record has failed alone, where another one
    /// `succeeded` since the attempt before.
    pub fn fail_together(&mut self, now: Instant, sign: u64, succeeded: bool) {
        self.first_failure.get_or_insert(now);
        self.together = self.together.saturating_add(succeeded.into());
        self.failed = true;
        self.sign = sign;
    }

    /// How many attempts failed, up to 255.
    pub fn failures(&self) -> u32 {
        self.failures.into()
    }

    /// How many of them count.
    pub fn counted(&self) -> u32 {
        self.counted
    }

    /// A worker crashed that had it in hand, after this sign: no failure, but an attempt.
    pub fn crashed(&mut self, now: Instant, sign: u64) {
        self.first_failure.get_or_insert(now);
        self.sign = sign;
    }

    /// The last sign before its last attempt.
    pub fn sign(&self) -> u64 {
        self.sign
    }

    /// Whether any attempt failed.
    pub fn has_failed(&self) -> bool {
        self.failed
    }

    /// When the first attempt failed.
    pub fn first_failure(&self) -> Option<Instant> {
        self.first_failure
    }

    /// Counts anew, as an operator asked for it. The record has still failed.
    pub fn forgive(&mut self, sign: u64) {
        (self.counted, self.together) = (0, 0);
        self.sign = sign;
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
        max_age_alone: Duration::from_secs(600),
    };

    /// Fails the record at once as often as there is evidence given.
    fn verdicts(policy: RetryPolicy, evidence: &[Evidence]) -> Vec<Verdict> {
        let now = Instant::now();
        let mut tries = Tries::default();
        evidence.iter().map(|&evidence| tries.fail(&policy, now, 0, evidence)).collect()
    }

    /// The verdict on the last of so many failures, the last three of them so late.
    fn late(after: Duration, evidence: Evidence) -> Verdict {
        let start = Instant::now();
        let mut tries = Tries::default();
        tries.fail(&POLICY, start, 0, evidence);
        let late = (0..3).map(|_| tries.fail(&POLICY, start + after, 0, evidence));
        late.last().expect("three")
    }

    #[test]
    fn the_third_retry_that_counts_exhausts() {
        use Verdict::{Again, Exhausted};
        for evidence in [Evidence::OtherSucceeded, Evidence::SystemWell] {
            assert_eq!(verdicts(POLICY, &[evidence; 4]), [Again, Again, Again, Exhausted]);
        }
    }

    #[test]
    fn attempts_without_evidence_do_not_count() {
        use Verdict::{Again, Exhausted, Outage};
        let (no, yes) = (Evidence::None, Evidence::OtherSucceeded);
        assert!(verdicts(POLICY, &[no; 1000]).iter().all(|&verdict| verdict == Outage));
        let with_outage = verdicts(POLICY, &[yes, yes, no, no, no, yes, yes]);
        assert_eq!(with_outage, [Again, Again, Outage, Outage, Outage, Again, Exhausted]);
    }

    #[test]
    fn without_retries_the_first_failure_that_counts_exhausts() {
        use Verdict::{Exhausted, Outage};
        let policy = RetryPolicy { max_retries: 0, ..POLICY };
        let evidence = [Evidence::None, Evidence::Alone, Evidence::OtherSucceeded];
        assert_eq!(verdicts(policy, &evidence), [Outage, Outage, Exhausted]);
    }

    #[test]
    fn what_failed_with_others_counts_once_it_fails_alone_while_they_succeed() {
        let now = Instant::now();
        let mut tries = Tries::default();
        tries.fail_together(now, 1, false);
        for sign in 2..=4 {
            tries.fail_together(now, sign, true);
        }
        assert_eq!(tries.counted(), 0);
        assert_eq!(tries.fail(&POLICY, now, 5, Evidence::None), Verdict::Outage);
        assert_eq!(tries.fail(&POLICY, now, 6, Evidence::OtherSucceeded), Verdict::Exhausted);
    }

    #[test]
    fn after_max_age_every_attempt_counts() {
        assert_eq!(late(POLICY.max_age, Evidence::None), Verdict::Exhausted);
        let shortly_before = POLICY.max_age - Duration::from_nanos(1);
        assert_eq!(late(shortly_before, Evidence::None), Verdict::Outage);
    }

    #[test]
    fn alone_attempts_count_after_a_shorter_age() {
        assert_eq!(late(POLICY.max_age_alone, Evidence::Alone), Verdict::Exhausted);
        let shortly_before = POLICY.max_age_alone - Duration::from_nanos(1);
        assert_eq!(late(shortly_before, Evidence::Alone), Verdict::Outage);
    }

    #[test]
    fn forgiven_tries_count_from_the_start() {
        let now = Instant::now();
        let mut tries = Tries::default();
        for sign in 1..=4 {
            tries.fail(&POLICY, now, sign, Evidence::OtherSucceeded);
        }
        tries.forgive(4);
        assert_eq!(tries.fail(&POLICY, now, 5, Evidence::OtherSucceeded), Verdict::Again);
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
