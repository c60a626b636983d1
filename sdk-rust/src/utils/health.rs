//! Keeping track of an external system's health.

use std::time::{Duration, Instant};

/// How the external system is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HealthStatus {
    /// It works.
    Healthy,
    /// It failed lately, though not often enough to give up on it.
    Degraded,
    /// It does not work.
    Unhealthy,
}

/// Judges health by the failures in a row.
#[derive(Debug)]
pub struct HealthChecker {
    consecutive_failures: usize,
    failure_threshold: usize,
    last_success: Option<Instant>,
    last_failure: Option<Instant>,
}

impl HealthChecker {
    /// Unhealthy after `failure_threshold` failures in a row.
    pub fn new(failure_threshold: usize) -> Self {
        Self {
            consecutive_failures: 0,
            failure_threshold,
            last_success: Some(Instant::now()),
            last_failure: None,
        }
    }

    /// It worked.
    pub fn record_success(&mut self) {
        self.consecutive_failures = 0;
        self.last_success = Some(Instant::now());
    }

    /// It failed.
    pub fn record_failure(&mut self) {
        self.consecutive_failures += 1;
        self.last_failure = Some(Instant::now());
    }

    /// The present state.
    pub fn status(&self) -> HealthStatus {
        match self.consecutive_failures {
            0 => HealthStatus::Healthy,
            failures if failures >= self.failure_threshold => HealthStatus::Unhealthy,
            _ => HealthStatus::Degraded,
        }
    }

    /// Whether it works.
    pub fn is_healthy(&self) -> bool {
        self.status() == HealthStatus::Healthy
    }

    /// Failures since the last success.
    pub fn consecutive_failures(&self) -> usize {
        self.consecutive_failures
    }

    /// How long ago it worked.
    pub fn time_since_last_success(&self) -> Option<Duration> {
        self.last_success.map(|at| at.elapsed())
    }

    /// How long ago it failed.
    pub fn time_since_last_failure(&self) -> Option<Duration> {
        self.last_failure.map(|at| at.elapsed())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn health_falls_with_each_failure_and_returns_with_a_success() {
        let mut health = HealthChecker::new(2);
        assert_eq!(health.status(), HealthStatus::Healthy);
        assert_eq!(health.time_since_last_failure(), None);

        health.record_failure();
        assert_eq!(health.status(), HealthStatus::Degraded);
        health.record_failure();
        assert_eq!(health.status(), HealthStatus::Unhealthy);

        health.record_success();
        assert!(health.is_healthy());
        assert_eq!(health.consecutive_failures(), 0);
    }
}
