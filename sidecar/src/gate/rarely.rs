//! Lines of the log that a caller could bring about without end.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

/// Between two lines of one kind.
const PAUSE: Duration = Duration::from_secs(10);

/// Lets one line of a kind through in ten seconds, and counts the others.
#[derive(Debug, Default)]
pub struct Rarely(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    quiet_until: Option<Instant>,
    held_back: u64,
}

impl Rarely {
    /// Whether it is time for a line: then, how many were held back since the last one.
    pub fn now(&self) -> Option<u64> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        if state.quiet_until.is_some_and(|until| now < until) {
            state.held_back += 1;
            return None;
        }
        state.quiet_until = Some(now + PAUSE);
        Some(std::mem::take(&mut state.held_back))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_flood_of_lines_is_one_line_and_a_number() {
        let rarely = Rarely::default();
        assert_eq!(rarely.now(), Some(0));
        assert!((0..1000).all(|_| rarely.now().is_none()));
        tokio::time::advance(PAUSE).await;
        assert_eq!(rarely.now(), Some(1000));
        assert_eq!(rarely.now(), None);
    }
}
