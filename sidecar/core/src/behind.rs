//! Which records of a lane a worker holds back behind one that it did not write.

/// Of one lane, for as long as any of it is in a worker's hands.
///
/// A worker that did not write a record must not write what it holds of the lane
/// behind it, and says RETRY for that too. Such a RETRY tells nothing about its own
/// record. Which ones these are follows from what was in hand at that moment, not
/// from the words of the answer, and holds however late the answer comes.
#[derive(Debug, Default)]
pub(crate) struct Behind(Vec<Unwritten>);

/// A record that was not written, and the last delivery issued when that was said.
///
/// Sequences and deliveries both grow along the list: a later answer for an earlier
/// record says all that those for later records said.
#[derive(Debug)]
struct Unwritten {
    sequence: u64,
    issued: u64,
}

impl Behind {
    /// The lane's worker did not write this record. Deliveries up to `issued` were in
    /// its hands, or answered.
    pub(crate) fn unwritten(&mut self, sequence: u64, issued: u64) {
        while self.0.last().is_some_and(|other| other.sequence >= sequence) {
            self.0.pop();
        }
        self.0.push(Unwritten { sequence, issued });
    }

    /// Whether this delivery was in hand behind a record when that was not written.
    pub(crate) fn holds(&self, sequence: u64, delivery: u64) -> bool {
        let before = self.0.partition_point(|other| other.sequence < sequence);
        self.0[..before].last().is_some_and(|other| delivery <= other.issued)
    }

    /// Nothing of the lane is in hand any more.
    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_in_hand_behind_an_unwritten_record_is_held_and_what_comes_later_is_not() {
        let mut behind = Behind::default();
        behind.unwritten(5, 20);
        assert!(behind.holds(6, 20));
        assert!(!behind.holds(5, 20) && !behind.holds(4, 20), "it is not behind");
        assert!(!behind.holds(6, 21), "it was offered afterwards");
    }

    #[test]
    fn each_answer_counts_for_what_was_in_hand_when_it_came() {
        let mut behind = Behind::default();
        behind.unwritten(5, 20);
        behind.unwritten(8, 30);
        assert!(!behind.holds(7, 25), "nothing before it was unwritten since its offer");
        assert!(behind.holds(9, 25) && behind.holds(7, 15));
        behind.unwritten(3, 40);
        assert!(behind.holds(4, 40) && behind.holds(9, 40));
        assert_eq!(behind.0.len(), 1, "the last answer says it all");
    }
}
