//! Whether the broker still gives what it owes.
//!
//! What was delivered and not acked comes again at the next attach. If it does not,
//! the stream may have been opened too early, or hang at the broker: attached again
//! it comes. If it still does not, the broker has given it up, and under the failure
//! policy Block it gives nothing else either.

/// So many attaches in a row without what is owed, and the broker has given it up.
const FRUITLESS: u32 = 3;

/// What one partition's attaches have shown.
#[derive(Debug, Default)]
pub(crate) struct Silence {
    fruitless: u32,
}

/// What follows from a drained attach.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// All came.
    Well,
    /// It may be a matter of the stream.
    AttachAgain,
    /// It does not come, and nothing else does.
    Blocked,
    /// As before; nothing new to tell.
    StillBlocked,
    /// It does not come, but others do.
    Gone,
}

impl Silence {
    /// An attach has drained with something `owed` or not, and something new came or
    /// not.
    pub(crate) fn drained(&mut self, owed: bool, new_came: bool) -> Verdict {
        if !owed {
            self.fruitless = 0;
            return Verdict::Well;
        }
        self.fruitless = self.fruitless.saturating_add(1);
        if self.fruitless < FRUITLESS {
            return Verdict::AttachAgain;
        }
        if new_came {
            self.fruitless = 0;
            return Verdict::Gone;
        }
        if self.fruitless == FRUITLESS { Verdict::Blocked } else { Verdict::StillBlocked }
    }

    /// How many times longer than usual the next attach waits for what is owed: a
    /// broker may be slow.
    pub(crate) fn patience(&self) -> u32 {
        1 << self.fruitless.min(FRUITLESS - 1)
    }

    /// The subscription was set up anew: nothing is owed.
    pub(crate) fn forget(&mut self) {
        self.fruitless = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quiet_topic_that_owes_nothing_is_well() {
        let mut silence = Silence::default();
        for _ in 0..10 {
            assert_eq!(silence.drained(false, false), Verdict::Well);
        }
    }

    #[test]
    fn a_stream_that_was_opened_too_early_is_opened_again() {
        let mut silence = Silence::default();
        assert_eq!(silence.drained(true, false), Verdict::AttachAgain);
        assert_eq!(silence.patience(), 2);
        assert_eq!(silence.drained(false, false), Verdict::Well);
        assert_eq!(silence.patience(), 1);
        assert_eq!(silence.drained(true, false), Verdict::AttachAgain);
    }

    #[test]
    fn what_stays_away_for_three_attaches_is_told_once_as_blocked() {
        let mut silence = Silence::default();
        let verdicts: Vec<_> = (0..5).map(|_| silence.drained(true, false)).collect();
        use Verdict::{AttachAgain, Blocked, StillBlocked};
        assert_eq!(verdicts, [AttachAgain, AttachAgain, Blocked, StillBlocked, StillBlocked]);
    }

    #[test]
    fn where_others_come_it_is_not_blocked() {
        let mut silence = Silence::default();
        silence.drained(true, true);
        silence.drained(true, true);
        assert_eq!(silence.drained(true, true), Verdict::Gone);
    }
}
