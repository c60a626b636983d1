//! When an attach has repeated all that it repeats.
//!
//! The broker does not say so. It repeats what is un-acked at its next tick,
//! before anything new, so the repeats are over when that tick has passed and
//! something new has come, or nothing comes any more.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

/// No delivery for so long, after the tick, ends the repeats.
const QUIET: Duration = Duration::from_millis(500);

/// How long the repeats of an attach are waited for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience {
    /// They begin within this time.
    pub(crate) settle: Duration,
    /// What is owed and does not come has this time; no clock of the broker runs.
    pub(crate) owed_within: Duration,
    /// A renewal follows at half of it, and the repeats are to be over before.
    pub(crate) ack_timeout: Duration,
}

/// The repeats of one attach.
#[derive(Debug)]
pub(crate) struct Drain {
    /// The tick has passed.
    settled_at: Instant,
    /// What is owed has had time enough.
    waited_at: Instant,
    quiet: Duration,
    last_delivery: Instant,
    /// The highest offset from before the attach.
    known: Option<u64>,
    new_came: bool,
    /// Delivered before and never acked: these must come again.
    owed: BTreeSet<u64>,
}

impl Drain {
    /// An attach at `now`, with the highest offset `known` before it and what is
    /// `owed`.
    pub(crate) fn new(
        now: Instant,
        patience: Patience,
        known: Option<u64>,
        owed: BTreeSet<u64>,
    ) -> Self {
        let Patience { settle, owed_within, ack_timeout } = patience;
        Self {
            settled_at: now + settle.min(ack_timeout * 3 / 8),
            waited_at: now + owed_within,
            quiet: QUIET.min(ack_timeout / 8),
            last_delivery: now,
            known,
            new_came: false,
            owed,
        }
    }

    pub(crate) fn delivered(&mut self, now: Instant, offset: u64) {
        self.last_delivery = now;
        self.owed.remove(&offset);
        self.new_came |= self.known.is_none_or(|known| offset > known);
    }

    /// When it is over, as things stand.
    pub(crate) fn deadline(&self) -> Instant {
        let quiet_at = self.last_delivery + self.quiet;
        match () {
            () if !self.owed.is_empty() => self.waited_at.max(quiet_at),
            () if self.new_came || self.known.is_none() => self.settled_at,
            () => self.settled_at.max(quiet_at),
        }
    }

    /// Whether something came that is newer than the attach before.
    pub(crate) fn new_came(&self) -> bool {
        self.new_came
    }

    /// What should have come again and did not.
    pub(crate) fn into_owed(self) -> BTreeSet<u64> {
        self.owed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SETTLE: Duration = Duration::from_millis(1500);
    const PATIENCE: Patience =
        Patience { settle: SETTLE, owed_within: SETTLE, ack_timeout: Duration::from_secs(30) };

    #[test]
    fn a_quiet_attach_is_drained_when_the_tick_has_passed() {
        let now = Instant::now();
        let drain = Drain::new(now, PATIENCE, Some(9), BTreeSet::new());
        assert_eq!(drain.deadline(), now + SETTLE);
    }

    #[test]
    fn repeats_that_still_come_put_the_end_off() {
        let now = Instant::now();
        let mut drain = Drain::new(now, PATIENCE, Some(9), BTreeSet::new());
        drain.delivered(now + SETTLE, 5);
        assert_eq!(drain.deadline(), now + SETTLE + QUIET);
    }

    #[test]
    fn a_new_message_ends_the_repeats_in_full_flow() {
        let now = Instant::now();
        let mut drain = Drain::new(now, PATIENCE, Some(9), [8, 9].into());
        for offset in [8, 9, 10] {
            drain.delivered(now + SETTLE, offset);
        }
        assert_eq!(drain.deadline(), now + SETTLE);
    }

    #[test]
    fn what_does_not_come_again_is_told() {
        let now = Instant::now();
        let mut drain = Drain::new(now, PATIENCE, Some(9), [8, 9].into());
        drain.delivered(now, 9);
        assert_eq!(drain.into_owed(), [8].into());
    }

    #[test]
    fn with_a_short_ack_timeout_the_repeats_are_over_before_the_renewal() {
        let (now, ack_timeout) = (Instant::now(), Duration::from_secs(1));
        let patience = Patience { ack_timeout, ..PATIENCE };
        let mut drain = Drain::new(now, patience, Some(9), [9].into());
        drain.delivered(now, 9);
        assert!(drain.deadline() < now + ack_timeout / 2);
    }

    #[test]
    fn what_is_owed_is_waited_for_while_no_clock_runs() {
        let now = Instant::now();
        let patience = Patience { ack_timeout: Duration::from_secs(1), ..PATIENCE };
        let drain = Drain::new(now, patience, Some(9), [9].into());
        assert_eq!(drain.deadline(), now + SETTLE);
    }
}
