//! Trying again, for as long as it takes.

use std::time::Duration;

use rand::Rng as _;
use tokio::time::Instant;
use tracing::{info, warn};

use super::SidecarError;

const FIRST_BACKOFF: Duration = Duration::from_millis(100);
const LONGEST_BACKOFF: Duration = Duration::from_secs(10);
/// A session that lasted this long was a good one: the next try comes soon.
const GOOD_SESSION: Duration = Duration::from_secs(5);
const FIRST_SILENCE: Duration = Duration::from_secs(30);
const LONGEST_SILENCE: Duration = Duration::from_secs(3600);

/// Decides when to dial again, and when to say so.
#[derive(Debug)]
pub(crate) struct Persistence {
    address: String,
    failures: u32,
    opened: Option<Instant>,
    silent_until: Option<Instant>,
    silence: Duration,
}

impl Persistence {
    pub(crate) fn new(address: String) -> Self {
        Self { address, failures: 0, opened: None, silent_until: None, silence: FIRST_SILENCE }
    }

    /// A session is open.
    pub(crate) fn opened(&mut self, session_id: &str) {
        info!(address = %self.address, session_id, "connected to the sidecar");
        self.opened = Some(Instant::now());
    }

    /// A try failed, or a session was lost. Tells how long to wait before the next.
    ///
    /// # Errors
    /// The error itself, when trying again is in vain.
    pub(crate) fn failed(&mut self, error: SidecarError) -> Result<Duration, SidecarError> {
        if error.is_permanent() {
            return Err(error);
        }
        if self.opened.take().is_some_and(|opened| opened.elapsed() >= GOOD_SESSION) {
            self.failures = 0;
            self.silent_until = None;
            self.silence = FIRST_SILENCE;
        }
        self.complain(&error);
        let wait = backoff(self.failures).max(error.retry_after().unwrap_or_default());
        self.failures = self.failures.saturating_add(1);
        Ok(wait)
    }

    /// Says what is wrong at the first failure, and then at growing intervals.
    fn complain(&mut self, error: &SidecarError) {
        let now = Instant::now();
        if self.silent_until.is_some_and(|until| now < until) {
            return;
        }
        self.silent_until = Some(now + self.silence);
        self.silence = (self.silence * 2).min(LONGEST_SILENCE);
        let remedy = match error {
            SidecarError::Unreachable { .. } => {
                "; start it with `danube-sidecar run`, or name another with DANUBE_SIDECAR_ADDRESS"
            }
            _ => "",
        };
        warn!(address = %self.address, "{error}; trying again until it works{remedy}");
        if !tracing::dispatcher::has_been_set() {
            // The native runtime installed a log; who relied on it must not wait in silence.
            eprintln!("{error}; trying again until it works{remedy}");
        }
    }
}

/// Exponential with full jitter.
fn backoff(failures: u32) -> Duration {
    let longest = FIRST_BACKOFF.saturating_mul(1 << failures.min(16)).min(LONGEST_BACKOFF);
    rand::rng().random_range(Duration::ZERO..=longest)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn persistence() -> Persistence {
        Persistence::new("http://here:1".to_owned())
    }

    #[tokio::test(start_paused = true)]
    async fn backoffs_grow_to_their_limit() {
        let mut persistence = persistence();
        for _ in 0..100 {
            let wait = persistence.failed(SidecarError::Ended).expect("not permanent");
            assert!(wait <= LONGEST_BACKOFF);
        }

        assert!((0..100).any(|_| backoff(9) > LONGEST_BACKOFF / 2));
        assert!((0..100).all(|_| backoff(0) <= FIRST_BACKOFF));
    }

    #[tokio::test(start_paused = true)]
    async fn a_good_session_starts_the_backoff_anew() {
        let mut persistence = persistence();
        for _ in 0..10 {
            persistence.failed(SidecarError::Ended).expect("not permanent");
        }
        persistence.opened("s");
        tokio::time::advance(GOOD_SESSION).await;

        assert!(persistence.failed(SidecarError::Ended).expect("not permanent") <= FIRST_BACKOFF);
    }

    #[tokio::test(start_paused = true)]
    async fn complaints_come_at_growing_intervals() {
        let mut persistence = persistence();
        let mut times = Vec::new();
        let start = Instant::now();
        for _ in 0..1000 {
            let before = persistence.silent_until;
            persistence.failed(SidecarError::Ended).expect("not permanent");
            if persistence.silent_until != before {
                times.push(start.elapsed().as_secs());
            }
            tokio::time::advance(Duration::from_secs(1)).await;
        }

        assert_eq!(times, [0, 30, 90, 210, 450, 930]);
    }

    #[tokio::test]
    async fn a_refusal_is_final() {
        let status = tonic::Status::permission_denied("no");

        assert!(persistence().failed(SidecarError::of_sink(status)).is_err());
    }
}
