//! Pauses between attempts.

use std::time::Duration;

use rand::Rng;

use crate::DetachReason;

/// An attachment that lasted so long was a good one: pauses begin afresh.
const GOOD: Duration = Duration::from_secs(30);

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

/// Pauses between the attachments of a partition.
#[derive(Debug)]
pub(crate) struct AttachBackoff {
    calls: Backoff,
    takeovers: Backoff,
}

impl AttachBackoff {
    /// 0.1–30 s; 1–30 s where another client uses the consumer name too, so that the
    /// two do not take it from each other without end.
    pub(crate) fn new() -> Self {
        let takeovers = Backoff::new(Duration::from_secs(2), Duration::from_secs(30));
        Self { calls: Backoff::calls(), takeovers }
    }

    /// Before the next attempt, after one that failed.
    pub(crate) fn after_failure(&mut self) -> Duration {
        self.calls.pause()
    }

    /// Before the next attachment, after one that `lasted` so long.
    pub(crate) fn after(&mut self, reason: DetachReason, lasted: Duration) -> Duration {
        if lasted >= GOOD {
            self.calls.reset();
            self.takeovers.reset();
        }
        match reason {
            DetachReason::Renewal | DetachReason::Asked => Duration::ZERO,
            DetachReason::TakenOver => self.takeovers.pause(),
            _ => self.calls.pause(),
        }
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

    #[test]
    fn a_renewal_does_not_pause_and_a_takeover_pauses_a_second_at_least() {
        let mut backoff = AttachBackoff::new();
        let lasted = Duration::from_secs(1);
        assert_eq!(backoff.after(DetachReason::Renewal, lasted), Duration::ZERO);
        assert!(backoff.after(DetachReason::TakenOver, lasted) >= Duration::from_secs(1));
        assert!(backoff.after(DetachReason::BrokerGone, lasted) <= Duration::from_millis(100));
    }
}
