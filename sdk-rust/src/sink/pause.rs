//! How long the external system is left alone.

use std::time::Duration;

use tokio::time::Instant;

use crate::NotWritten;

/// What [`NotWritten::busy`] means without a time.
const DEFAULT: Duration = Duration::from_secs(1);

/// The external system said that it takes nothing: until then each record is handed
/// back without a call. It outlives sessions: the external system does not care for them.
#[derive(Debug, Default)]
pub(crate) struct Pause(Option<(Instant, NotWritten)>);

impl Pause {
    /// Leaves it alone for as long as it asked; never for less than it asked before.
    pub(crate) fn begin(&mut self, busy: &NotWritten) {
        let now = Instant::now();
        // More than a clock can tell is as good as never.
        let after = busy.retry_after().unwrap_or(DEFAULT);
        let until = now.checked_add(after).unwrap_or(now + Duration::from_secs(1 << 31));
        if self.0.as_ref().is_none_or(|(before, _)| *before < until) {
            self.0 = Some((until, busy.of_another()));
        }
    }

    /// What is answered meanwhile: what it said, for what is left of the time. `None`: it
    /// may be called.
    pub(crate) fn left(&self) -> Option<NotWritten> {
        let (until, busy) = self.0.as_ref()?;
        let left = until.saturating_duration_since(Instant::now());
        (!left.is_zero()).then(|| busy.of_another().after(left))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_pause_is_never_shortened_and_says_what_is_left_of_it() {
        let mut pause = Pause::default();
        assert!(pause.left().is_none());
        pause.begin(&NotWritten::busy("later").code("LIMIT").after(Duration::from_secs(2)));
        pause.begin(&NotWritten::busy("sooner").after(Duration::from_secs(1)));
        tokio::time::advance(Duration::from_millis(500)).await;

        let left = pause.left().unwrap();
        assert_eq!((left.error_code(), left.message()), ("LIMIT", "later"));
        assert_eq!(left.retry_after(), Some(Duration::from_millis(1500)));
        tokio::time::advance(Duration::from_millis(1500)).await;
        assert!(pause.left().is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn a_pause_without_a_time_is_a_second_and_one_without_end_is_no_panic() {
        let mut pause = Pause::default();
        pause.begin(&NotWritten::busy("x"));
        assert_eq!(pause.left().unwrap().retry_after(), Some(DEFAULT));

        pause.begin(&NotWritten::busy("x").after(Duration::MAX));
        assert!(pause.left().is_some());
    }
}
