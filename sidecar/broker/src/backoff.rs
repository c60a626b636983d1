//! Pauses between attempts.

use std::time::Duration;

use rand::Rng;

/// Doubling pauses, each drawn between half of the current one and all of it.
#[derive(Debug)]
pub(crate) struct Backoff {
    first: Duration,
    longest: Duration,
    next: Duration,
}

impl Backoff {
    pub(crate) fn new(first: Duration, longest: Duration) -> Self {
        Self { first, longest, next: first }
    }

    /// For calls to a broker: 0.1–30 s.
    pub(crate) fn calls() -> Self {
        Self::new(Duration::from_millis(100), Duration::from_secs(30))
    }

    /// For a consumer name that another client uses too: 1–30 s, so that the two
    /// do not take it from each other without end.
    pub(crate) fn takeovers() -> Self {
        Self::new(Duration::from_secs(2), Duration::from_secs(30))
    }

    /// How long to pause before the next attempt.
    pub(crate) fn pause(&mut self) -> Duration {
        let pause = rand::rng().random_range(self.next / 2..=self.next);
        self.next = (self.next * 2).min(self.longest);
        pause
    }

    /// It went well: the next failure begins afresh.
    pub(crate) fn reset(&mut self) {
        self.next = self.first;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_the_longest_and_begin_afresh() {
        let mut backoff = Backoff::calls();
        for doubling in [100, 200, 400, 800] {
            let pause = backoff.pause().as_millis();
            assert!((doubling / 2..=doubling).contains(&pause), "{pause} of {doubling}");
        }
        for _ in 0..20 {
            assert!(backoff.pause() <= Duration::from_secs(30));
        }
        backoff.reset();
        assert!(backoff.pause() <= Duration::from_millis(100));
    }
}
