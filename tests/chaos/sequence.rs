//! The records of a round: what the source has, and what the sink does with each.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use crate::random::Random;

/// Describes the records of a round; everything about them follows from it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Sequence {
    /// Chooses keys, source partitions and what the sink does.
    pub seed: u64,
    /// How many records there are.
    pub records: u64,
    /// How many source partitions they are spread over.
    pub source_partitions: u64,
    /// How many routing keys there are; one record in ten has none.
    pub keys: u64,
    /// The record that kills whoever processes it.
    pub killer: Option<u64>,
}

/// A record's place in the external system: source partition and offset.
pub type Place = (u64, u64);

/// One record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Planned {
    /// Its place among all, counted from 0.
    pub index: u64,
    /// Where it stands in the external system.
    pub place: Place,
    /// Its routing key.
    pub key: Option<String>,
    /// What the sink does with it.
    pub fate: Fate,
}

/// What the sink does with a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Writes it, after failing this often.
    Written {
        /// How many attempts fail.
        failures: u32,
    },
    /// Says that it can never be written.
    Rejected,
    /// Leaves it out on purpose.
    Filtered,
    /// Dies of it.
    Kills,
}

impl Sequence {
    /// All records, in the order of the source.
    pub fn all(&self) -> Vec<Planned> {
        let mut next = vec![0; self.source_partitions as usize];
        (0..self.records).map(|index| self.planned(index, &mut next)).collect()
    }

    /// All records by their place in the external system.
    pub fn by_place(&self) -> HashMap<Place, Planned> {
        self.all().into_iter().map(|record| (record.place, record)).collect()
    }

    fn planned(&self, index: u64, next: &mut [u64]) -> Planned {
        let mut random = Random::new(self.seed, index);
        let partition = random.within(0..self.source_partitions);
        let offset = &mut next[partition as usize];
        let place = (partition, *offset);
        *offset += 1;
        let key = (!random.chance(100)).then(|| format!("key-{}", random.within(0..self.keys)));
        let fate = match random.within(0..1000) {
            _ if self.killer == Some(index) => Fate::Kills,
            0..10 => Fate::Rejected,
            10..20 => Fate::Filtered,
            20..50 => Fate::Written { failures: 1 },
            50..60 => Fate::Written { failures: 2 },
            _ => Fate::Written { failures: 0 },
        };
        Planned { index, place, key, fate }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEQUENCE: Sequence =
        Sequence { seed: 7, records: 1000, source_partitions: 3, keys: 20, killer: Some(500) };

    #[test]
    fn a_seed_gives_the_same_records_again() {
        assert_eq!(SEQUENCE.all(), SEQUENCE.all());
        assert_ne!(SEQUENCE.all(), Sequence { seed: 8, ..SEQUENCE }.all());
    }

    #[test]
    fn offsets_are_consecutive_in_each_source_partition() {
        let mut next = [0; 3];
        for record in SEQUENCE.all() {
            let (partition, offset) = record.place;
            assert_eq!(offset, next[partition as usize]);
            next[partition as usize] += 1;
        }
    }

    #[test]
    fn every_fate_occurs() {
        let all = SEQUENCE.all();
        for fate in [
            Fate::Written { failures: 0 },
            Fate::Written { failures: 1 },
            Fate::Written { failures: 2 },
            Fate::Rejected,
            Fate::Filtered,
        ] {
            assert!(all.iter().any(|record| record.fate == fate), "{fate:?}");
        }
        let killers: Vec<_> = all.iter().filter(|record| record.fate == Fate::Kills).collect();
        assert_eq!(killers.iter().map(|record| record.index).collect::<Vec<_>>(), [500]);
    }
}
