//! Finished identities of one partition, remembered so that their repeats are
//! acked and not delivered.

use std::collections::VecDeque;

use crate::record::Fingerprint;

/// A ring of finished identities, oldest first, each with a ticket: the place at
/// which it went in.
///
/// An identity must be remembered until an attach that began after it was
/// finished has been drained: its ack may have been lost before. It is kept for
/// one attach more, because a broker that crashes repeats what it acked since it
/// last wrote its cursor (up to 10 s, Danube 0.15), and that may be from before a
/// renewal.
#[derive(Debug, Default)]
pub(crate) struct Finished {
    ring: VecDeque<Fingerprint>,
    /// The ticket of the ring's front.
    front: u64,
    /// The first ticket after the attach that began last.
    attached: u64,
    /// The same, for the attach that was drained last.
    drained: u64,
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

    pub(crate) fn attached(&mut self) {
        self.attached = self.front + self.ring.len() as u64;
    }

    /// Tells before which ticket everything may be forgotten now.
    pub(crate) fn drained(&mut self) -> u64 {
        std::mem::replace(&mut self.drained, self.attached)
    }

    /// Takes out the oldest identity if it went in before `ticket`.
    pub(crate) fn pop_before(&mut self, ticket: u64) -> Option<(u64, Fingerprint)> {
        if self.front < ticket { self.pop() } else { None }
    }

    fn pop(&mut self) -> Option<(u64, Fingerprint)> {
        let fingerprint = self.ring.pop_front()?;
        self.front += 1;
        Some((self.front - 1, fingerprint))
    }
}
