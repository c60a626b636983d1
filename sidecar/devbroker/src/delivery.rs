//! One message on its way to being acked.

use std::{sync::Arc, time::Duration};

use tokio::time::Instant;

use crate::config::{Backoff, FailurePolicy};

/// One message that a subscription has taken from the log and that is not acked.
#[derive(Debug)]
pub(crate) struct Delivery {
    pub(crate) phase: Phase,
    /// What it is shared by, in a key-shared subscription.
    pub(crate) key: Option<Arc<str>>,
    /// How often it was handed to a consumer.
    pub(crate) sends: u32,
    /// How often it ran into the ack timeout or was nacked.
    pub(crate) failures: u32,
    /// Why it failed last.
    pub(crate) reason: Option<String>,
}

/// Where it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// To be given to a consumer.
    Ready,
    /// In a consumer's queue.
    Queued { consumer: u64 },
    /// On a consumer's stream.
    Sent { consumer: u64, deadline: Instant },
    /// To be delivered again later.
    Waiting { until: Instant },
    /// Its redeliveries are used up.
    Exhausted,
}

/// What a failure leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Redeliver { until: Instant },
    Exhausted,
}

impl Delivery {
    pub(crate) fn new(key: Option<Arc<str>>) -> Self {
        Self { phase: Phase::Ready, key, sends: 0, failures: 0, reason: None }
    }

    /// Whether a consumer has it, or is about to.
    pub(crate) fn is_out(&self) -> bool {
        matches!(self.phase, Phase::Queued { .. } | Phase::Sent { .. })
    }

    pub(crate) fn is_out_at(&self, id: u64) -> bool {
        match self.phase {
            Phase::Queued { consumer } | Phase::Sent { consumer, .. } => consumer == id,
            _ => false,
        }
    }

    pub(crate) fn sent_to(&mut self, consumer: u64, deadline: Instant) {
        self.sends = self.sends.saturating_add(1);
        self.phase = Phase::Sent { consumer, deadline };
    }

    /// It timed out or was nacked.
    pub(crate) fn fail(
        &mut self,
        reason: String,
        asked: Duration,
        policy: &FailurePolicy,
        count_sends: bool,
        now: Instant,
    ) -> Verdict {
        self.failures = self.failures.saturating_add(1);
        self.reason = Some(reason);
        let spent = if count_sends { self.sends } else { self.failures };
        if spent > policy.max_redeliveries {
            self.phase = Phase::Exhausted;
            return Verdict::Exhausted;
        }
        let until = now + delay(policy, spent).max(asked).min(policy.max_delay);
        self.phase = Phase::Waiting { until };
        Verdict::Redeliver { until }
    }

    /// Starts over with a fresh budget.
    pub(crate) fn revive(&mut self) {
        self.failures = 0;
        self.phase = Phase::Ready;
    }
}

fn delay(policy: &FailurePolicy, spent: u32) -> Duration {
    match policy.backoff {
        Backoff::Fixed => policy.base_delay,
        Backoff::Exponential => {
            let doublings = spent.saturating_sub(1).min(30);
            policy.base_delay.saturating_mul(1 << doublings)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fail(delivery: &mut Delivery, asked: Duration, now: Instant) -> Verdict {
        delivery.fail("nack".into(), asked, &FailurePolicy::default(), false, now)
    }

    #[test]
    fn the_wait_doubles_and_a_nack_may_ask_for_more() {
        let now = Instant::now();
        let mut delivery = Delivery::new(None);
        let waits: Vec<_> = [0, 0, 10]
            .map(|asked| match fail(&mut delivery, Duration::from_secs(asked), now) {
                Verdict::Redeliver { until } => (until - now).as_secs(),
                Verdict::Exhausted => 0,
            })
            .into();
        assert_eq!(waits, [1, 2, 10]);
    }

    #[test]
    fn the_sixth_failure_uses_up_five_redeliveries() {
        let now = Instant::now();
        let mut delivery = Delivery::new(None);
        for _ in 0..5 {
            assert_ne!(fail(&mut delivery, Duration::ZERO, now), Verdict::Exhausted);
        }
        assert_eq!(fail(&mut delivery, Duration::ZERO, now), Verdict::Exhausted);
    }
}
