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
    last_delivery: Option<Instant>,
    /// When something came that was owed; at first, the attach.
    last_repeat: Instant,
    /// The highest offset from before the attach.
    known: Option<u64>,
    new_came: bool,
    /// Delivered before and never acked: these must come again.
    owed: BTreeSet<u64>,
    /// Something was delivered before.
    repeats: bool,
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
            last_delivery: None,
            last_repeat: now,
            known,
            new_came: false,
            repeats: known.is_some() || !owed.is_empty(),
            owed,
        }
    }

    pub(crate) fn delivered(&mut self, now: Instant, offset: u64) {
        self.last_delivery = Some(now);
        if self.owed.remove(&offset) {
            self.last_repeat = now;
        }
        self.new_came |= self.known.is_none_or(|known| offset > known);
    }

    /// When it is over, as things stand.
    ///
    /// All repeats come together. So where some have come and the rest has not, it is
    /// over soon; a renewal, which the clocks of those ask for, must not come first.
    pub(crate) fn deadline(&self) -> Instant {
        let Some(last_delivery) = self.last_delivery else {
            let nothing_owed = self.owed.is_empty();
            return if nothing_owed { self.settled_at } else { self.waited_at };
        };
        if !self.owed.is_empty() {
            return self.settled_at.max(self.last_repeat + self.quiet);
        }
        match self.new_came || self.known.is_none() {
            true => self.settled_at,
            false => self.settled_at.max(last_delivery + self.quiet),
        }
    }

    /// Whether there can be repeats: nothing is repeated at the first attach.
    pub(crate) fn repeats(&self) -> bool {
        self.repeats
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

    #[test]
    fn where_some_repeats_came_the_others_do_not_hold_it_up_for_ever() {
        let (now, ack_timeout) = (Instant::now(), Duration::from_secs(1));
        let patience = Patience { ack_timeout, ..PATIENCE };
        let mut drain = Drain::new(now, patience, Some(9), [8, 9].into());
        drain.delivered(now, 9);
        drain.delivered(now + ack_timeout / 3, 10);
        assert!(drain.deadline() < now + ack_timeout / 2);
        assert_eq!(drain.into_owed(), [8].into());
    }
}
