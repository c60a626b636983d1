//! Which broker acks may be sent now, for one partition.

use std::collections::{BTreeMap, BTreeSet};

/// The acks of one partition.
///
/// Acks are pipelined, with one exception: Danube's dispatcher blocks when the
/// highest outstanding offset is acked while lower ones are open, and pipelined
/// acks may overtake each other. So the highest delivered offset is acked only
/// after the broker has *answered* the acks of all lower ones. While an attach
/// still repeats, what is outstanding is not known, and the highest waits.
///
/// Call `delivered` before `resolved`; send what `poll` gives; tell `answered` or
/// `failed` for each, unless the stream ended in between.
#[derive(Debug, Default)]
pub struct AckOrder {
    outstanding: BTreeMap<u64, Ack>,
    ready: BTreeSet<u64>,
    unanswered: usize,
    drained: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ack {
    /// The record is not resolved yet.
    Awaited,
    /// To be sent.
    Ready,
    /// Sent, not answered.
    Sent,
}

impl AckOrder {
    /// The broker delivered the offset on the current attach. A repeat takes its
    /// ack back: resolve it again.
    pub fn delivered(&mut self, offset: u64) {
        let before = self.outstanding.insert(offset, Ack::Awaited);
        self.unanswered -= usize::from(before == Some(Ack::Sent));
        self.ready.remove(&offset);
    }

    /// The record is resolved: its ack is wanted. What was not delivered on the
    /// current attach is passed over; its repeat will ask for the ack again.
    pub fn resolved(&mut self, offset: u64) {
        let Some(ack) = self.outstanding.get_mut(&offset) else { return };
        if *ack == Ack::Awaited {
            *ack = Ack::Ready;
            self.ready.insert(offset);
        }
    }

    /// The next ack to send now; ask again until there is none.
    pub fn poll(&mut self) -> Option<u64> {
        let offset = *self.ready.first()?;
        let highest = *self.outstanding.last_key_value()?.0;
        if offset == highest && !(self.drained && self.outstanding.len() == 1) {
            return None;
        }
        self.ready.remove(&offset);
        self.outstanding.insert(offset, Ack::Sent);
        self.unanswered += 1;
        Some(offset)
    }

    /// The broker answered the ack.
    pub fn answered(&mut self, offset: u64) {
        if self.outstanding.get(&offset) == Some(&Ack::Sent) {
            self.outstanding.remove(&offset);
            self.unanswered -= 1;
        }
    }

    /// The ack did not get through, as far as is known: it is sent again.
    pub fn failed(&mut self, offset: u64) {
        let Some(ack) = self.outstanding.get_mut(&offset) else { return };
        if *ack == Ack::Sent {
            *ack = Ack::Ready;
            self.unanswered -= 1;
            self.ready.insert(offset);
        }
    }

    /// The partition's stream ended: answers are void, and everything that the
    /// broker does not hold as acked comes again on the next attach.
    pub fn detached(&mut self) {
        *self = Self::default();
    }

    /// What the attach repeats has come, so what is outstanding is known.
    pub fn drained(&mut self) {
        self.drained = true;
    }

    /// Delivered and not yet answered.
    pub fn outstanding(&self) -> usize {
        self.outstanding.len()
    }

    /// Sent and not yet answered.
    pub fn unanswered(&self) -> usize {
        self.unanswered
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn delivered(offsets: std::ops::RangeInclusive<u64>) -> AckOrder {
        let mut acks = AckOrder::default();
        acks.drained();
        offsets.for_each(|offset| acks.delivered(offset));
        acks
    }

    fn poll_all(acks: &mut AckOrder) -> Vec<u64> {
        std::iter::from_fn(|| acks.poll()).collect()
    }

    #[test]
    fn an_ack_waits_for_its_record() {
        let mut acks = delivered(1..=3);
        assert_eq!(poll_all(&mut acks), []);
        acks.resolved(2);
        assert_eq!(poll_all(&mut acks), [2]);
    }

    #[test]
    fn lower_acks_are_pipelined_and_the_highest_waits_for_their_answers() {
        let mut acks = delivered(1..=3);
        for offset in [3, 1, 2] {
            acks.resolved(offset);
        }
        assert_eq!(poll_all(&mut acks), [1, 2]);
        acks.answered(2);
        assert_eq!(poll_all(&mut acks), []);
        acks.answered(1);
        assert_eq!(poll_all(&mut acks), [3]);
        acks.answered(3);
        assert_eq!((acks.outstanding(), acks.unanswered()), (0, 0));
    }

    #[test]
    fn a_newer_delivery_releases_the_highest() {
        let mut acks = delivered(1..=2);
        acks.resolved(2);
        assert_eq!(poll_all(&mut acks), []);
        acks.delivered(3);
        assert_eq!(poll_all(&mut acks), [2]);
    }

    #[test]
    fn a_failed_ack_is_sent_again_before_the_highest() {
        let mut acks = delivered(1..=2);
        acks.resolved(1);
        acks.resolved(2);
        assert_eq!(poll_all(&mut acks), [1]);
        acks.failed(1);
        assert_eq!(poll_all(&mut acks), [1]);
        acks.answered(1);
        assert_eq!(poll_all(&mut acks), [2]);
    }

    #[test]
    fn a_detach_voids_acks_and_their_answers() {
        let mut acks = delivered(1..=3);
        acks.resolved(1);
        assert_eq!(poll_all(&mut acks), [1]);
        acks.detached();
        acks.answered(1);
        acks.resolved(2);
        assert_eq!((poll_all(&mut acks), acks.outstanding()), (vec![], 0));
        for offset in [1, 2, 3] {
            acks.delivered(offset);
        }
        acks.resolved(1);
        acks.resolved(2);
        assert_eq!(poll_all(&mut acks), [1, 2]);
    }

    #[test]
    fn while_an_attach_repeats_the_highest_is_not_acked() {
        let mut acks = AckOrder::default();
        acks.delivered(7);
        acks.resolved(7);
        assert_eq!(poll_all(&mut acks), []);
        acks.drained();
        assert_eq!(poll_all(&mut acks), [7]);
    }

    #[test]
    fn a_repeat_on_the_same_attach_is_acked_again() {
        let mut acks = delivered(1..=2);
        acks.resolved(1);
        assert_eq!(poll_all(&mut acks), [1]);
        acks.delivered(1);
        acks.answered(1);
        assert_eq!(acks.outstanding(), 2);
        acks.resolved(1);
        assert_eq!(poll_all(&mut acks), [1]);
    }
}
