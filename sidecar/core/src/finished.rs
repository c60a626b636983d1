//! Finished identities of one partition, remembered so that their repeats are
//! acked and not delivered.

use std::collections::VecDeque;

use crate::record::Fingerprint;

/// A ring of finished identities, oldest first, each with a ticket: the place at
/// which it went in.
///
/// Only newer ones push an identity out, never an attach that seems to have repeated
/// everything: a broker repeats what timed out only after a backoff (up to 60 s,
/// Danube 0.15), and after a crash what was acked since it last wrote its cursor (up
/// to 10 s).
#[derive(Debug, Default)]
pub(crate) struct Finished {
    ring: VecDeque<Fingerprint>,
    /// The ticket of the ring's front.
    front: u64,
}

impl Finished {
    /// Puts an identity in; gives its ticket, and what it pushed out.
    pub(crate) fn push(
        &mut self,
        fingerprint: Fingerprint,
        remember: usize,
    ) -> (u64, Option<(u64, Fingerprint)>) {
        let ticket = self.front + self.ring.len() as u64;
        self.ring.push_back(fingerprint);
        let pushed_out = if self.ring.len() > remember.max(1) { self.pop() } else { None };
        (ticket, pushed_out)
    }

    fn pop(&mut self) -> Option<(u64, Fingerprint)> {
        let fingerprint = self.ring.pop_front()?;
        self.front += 1;
        Some((self.front - 1, fingerprint))
    }
}
