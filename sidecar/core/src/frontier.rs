//! Confirmed numbers → the longest prefix and its positions.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

/// A place in the external system up to which a source has been read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Position {
    /// The sequence that `offset` counts in.
    pub source_partition: Arc<str>,
    /// Where in that sequence. Stored, never computed with.
    pub offset: u64,
    /// Whatever else the connector needs to resume there.
    pub metadata: Option<String>,
}

/// How far everything is confirmed, and where that leaves each source partition.
///
/// Numbers begin at 1 and have no holes.
#[derive(Debug, Default)]
pub struct Frontier {
    reached: u64,
    bytes: u64,
    ahead: VecDeque<Step>,
    moved: BTreeMap<Arc<str>, Position>,
}

/// A number that the frontier has not reached.
#[derive(Debug)]
struct Step {
    bytes: usize,
    position: Option<Position>,
    confirmed: bool,
}

impl Frontier {
    /// Appends the next number; tells which it is.
    pub fn push(&mut self, bytes: usize, position: Option<Position>) -> u64 {
        self.ahead.push_back(Step { bytes, position, confirmed: false });
        self.last()
    }

    /// Confirms a number. One that is unknown or already confirmed changes nothing.
    pub fn confirm(&mut self, number: u64) {
        let Some(index) = number.checked_sub(self.reached + 1) else { return };
        let Some(step) = usize::try_from(index).ok().and_then(|i| self.ahead.get_mut(i)) else {
            return;
        };
        step.confirmed = true;
        self.advance();
    }

    /// Everything up to this number is confirmed.
    pub fn reached(&self) -> u64 {
        self.reached
    }

    /// The bytes of everything up to [`reached`](Self::reached).
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The last number pushed.
    pub fn last(&self) -> u64 {
        self.reached + self.ahead.len() as u64
    }

    /// The latest position of each source partition that moved since the last
    /// call, among what is reached, ordered by name.
    pub fn take_positions(&mut self) -> Vec<Position> {
        std::mem::take(&mut self.moved).into_values().collect()
    }

    fn advance(&mut self) {
        while self.ahead.front().is_some_and(|step| step.confirmed) {
            let Some(step) = self.ahead.pop_front() else { return };
            self.reached += 1;
            self.bytes += step.bytes as u64;
            if let Some(position) = step.position {
                self.moved.insert(Arc::clone(&position.source_partition), position);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn position(source_partition: &str, offset: u64) -> Position {
        Position { source_partition: source_partition.into(), offset, metadata: None }
    }

    #[test]
    fn a_hole_stops_the_frontier() {
        let mut frontier = Frontier::default();
        for _ in 0..4 {
            frontier.push(10, None);
        }
        for number in [2, 4, 1] {
            frontier.confirm(number);
        }
        assert_eq!((frontier.reached(), frontier.bytes(), frontier.last()), (2, 20, 4));
    }

    #[test]
    fn the_latest_position_of_each_source_partition_is_taken_once() {
        let mut frontier = Frontier::default();
        for at in [position("a", 9), position("b", 1), position("a", 3), position("b", 2)] {
            frontier.push(1, Some(at));
        }
        (1..=3).for_each(|number| frontier.confirm(number));
        assert_eq!(frontier.take_positions(), [position("a", 3), position("b", 1)]);
        assert_eq!(frontier.take_positions(), []);
    }

    #[test]
    fn unknown_and_repeated_numbers_change_nothing() {
        let mut frontier = Frontier::default();
        frontier.push(1, None);
        for number in [0, 2, u64::MAX, 1, 1] {
            frontier.confirm(number);
        }
        assert_eq!((frontier.reached(), frontier.bytes()), (1, 1));
    }
}
