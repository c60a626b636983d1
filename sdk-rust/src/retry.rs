//! Backoff for a connector's own retries. (Records are retried by the sidecar,
//! and the way to the sidecar by the runtime: neither needs this.)

use std::time::Duration;

use rand::Rng as _;

/// How often and how fast to try again.
#[derive(Debug, Clone)]
pub struct RetryConfig {
    /// Attempts after the first.
    pub max_retries: u32,
    /// The first backoff, in milliseconds.
    pub base_backoff_ms: u64,
    /// The longest backoff, in milliseconds.
    pub max_backoff_ms: u64,
    /// Each backoff is this many times the one before.
    pub multiplier: f64,
    /// Whether to vary each backoff by half of it, so that clients do not return all at once.
    pub jitter: bool,
}

impl RetryConfig {
    /// Doubling backoffs with jitter.
    pub fn new(max_retries: u32, base_backoff_ms: u64, max_backoff_ms: u64) -> Self {
        Self { max_retries, base_backoff_ms, max_backoff_ms, multiplier: 2.0, jitter: true }
    }

    /// Doubling backoffs with jitter, from 1 s to 30 s.
    pub fn exponential(max_retries: u32) -> Self {
        Self::new(max_retries, 1000, 30_000)
    }

    /// The same backoff each time.
    pub fn linear(max_retries: u32, backoff_ms: u64) -> Self {
        Self {
            max_retries,
            base_backoff_ms: backoff_ms,
            max_backoff_ms: backoff_ms,
            multiplier: 1.0,
            jitter: false,
        }
    }

    /// The same backoff each time.
    pub fn fixed(max_retries: u32, delay_ms: u64) -> Self {
        Self::linear(max_retries, delay_ms)
    }

    /// Without jitter.
    pub fn without_jitter(mut self) -> Self {
        self.jitter = false;
        self
    }

    /// With another multiplier.
    pub fn with_multiplier(mut self, multiplier: f64) -> Self {
        self.multiplier = multiplier;
        self
    }
}

impl Default for RetryConfig {
    fn default() -> Self {
        Self::exponential(3)
    }
}

/// Says how long to wait before which attempt.
#[derive(Debug, Clone)]
pub struct RetryStrategy {
    config: RetryConfig,
}

impl RetryStrategy {
    /// A strategy of this configuration.
    pub fn new(config: RetryConfig) -> Self {
        Self { config }
    }

    /// See [`RetryConfig::exponential`].
    pub fn exponential_backoff(max_retries: u32) -> Self {
        Self::new(RetryConfig::exponential(max_retries))
    }

    /// See [`RetryConfig::linear`].
    pub fn linear_backoff(max_retries: u32, backoff_ms: u64) -> Self {
        Self::new(RetryConfig::linear(max_retries, backoff_ms))
    }

    /// See [`RetryConfig::fixed`].
    pub fn fixed_delay(max_retries: u32, delay_ms: u64) -> Self {
        Self::new(RetryConfig::fixed(max_retries, delay_ms))
    }

    /// The wait before retry `attempt`, counted from one; zero for zero.
    pub fn calculate_backoff(&self, attempt: u32) -> Duration {
        let Some(doublings) = attempt.checked_sub(1) else { return Duration::ZERO };
        let longest = self.config.max_backoff_ms as f64;
        let exponent = i32::try_from(doublings).unwrap_or(i32::MAX);
        let backoff = (self.config.base_backoff_ms as f64 * self.config.multiplier.powi(exponent))
            .min(longest);
        let jittered = if self.config.jitter {
            (backoff * rand::rng().random_range(0.5..1.5)).min(longest)
        } else {
            backoff
        };
        Duration::from_millis(jittered as u64)
    }

    /// Attempts after the first.
    pub fn max_retries(&self) -> u32 {
        self.config.max_retries
    }

    /// Whether another attempt is due after `attempt` retries.
    pub fn should_retry(&self, attempt: u32) -> bool {
        attempt < self.config.max_retries
    }
}

impl Default for RetryStrategy {
    fn default() -> Self {
        Self::exponential_backoff(3)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn backoffs_double_up_to_the_longest() {
        let strategy = RetryStrategy::new(RetryConfig::new(9, 1000, 5000).without_jitter());
        let waits: Vec<_> =
            (0..6).map(|attempt| strategy.calculate_backoff(attempt).as_millis()).collect();

        assert_eq!(waits, [0, 1000, 2000, 4000, 5000, 5000]);
    }

    #[test]
    fn fixed_backoffs_stay_the_same() {
        let strategy = RetryStrategy::fixed_delay(3, 500);

        assert_eq!(strategy.calculate_backoff(1), strategy.calculate_backoff(40));
    }

    #[test]
    fn jitter_stays_within_half_and_the_longest() {
        let strategy = RetryStrategy::new(RetryConfig::new(3, 1000, 1200));

        for _ in 0..100 {
            let wait = strategy.calculate_backoff(1).as_millis();
            assert!((500..=1200).contains(&wait), "{wait}");
        }
    }

    #[test]
    fn retries_end_at_the_limit() {
        let strategy = RetryStrategy::exponential_backoff(2);

        assert!(strategy.should_retry(1));
        assert!(!strategy.should_retry(2));
    }
}
