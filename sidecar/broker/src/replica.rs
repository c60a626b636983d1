//! Several sidecars with the same connectors: each partition belongs to one of them.

use crate::{hash::fnv1a, lookup::partition_number};

/// Which one of several sidecars this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Replica {
    ordinal: u32,
    replicas: u32,
}

impl Replica {
    /// The sidecar `ordinal`, counted from 0, of `replicas`; none where there is no
    /// such one.
    pub fn new(ordinal: u32, replicas: u32) -> Option<Self> {
        (ordinal < replicas).then_some(Self { ordinal, replicas })
    }

    /// Which one it is, counted from 0.
    pub fn ordinal(self) -> u32 {
        self.ordinal
    }

    /// How many there are.
    pub fn replicas(self) -> u32 {
        self.replicas
    }

    /// Whether a partition is this one's: they are dealt out by their numbers, and
    /// topics without partitions by their names.
    pub fn owns(self, partition: &str) -> bool {
        let number = partition_number(partition).unwrap_or_else(|| fnv1a(partition));
        number % u64::from(self.replicas) == u64::from(self.ordinal)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn replicas(count: u32) -> impl Iterator<Item = Replica> {
        (0..count).filter_map(move |ordinal| Replica::new(ordinal, count))
    }

    #[test]
    fn there_is_no_replica_beyond_the_last() {
        assert_eq!(Replica::new(3, 3), None);
        assert_eq!(Replica::new(0, 0), None);
    }

    #[test]
    fn every_partition_belongs_to_exactly_one() {
        let partitions = (0..20).map(|number| format!("/default/orders-part-{number}"));
        let topics = (0..20).map(|number| format!("/default/topic{number}"));
        for name in partitions.chain(topics) {
            for count in 1..7 {
                let owners = replicas(count).filter(|replica| replica.owns(&name)).count();
                assert_eq!(owners, 1, "{name} of {count}");
            }
        }
    }

    #[test]
    fn partitions_and_topics_are_spread() {
        for replica in replicas(3) {
            let partitions = (0..9).map(|number| format!("/default/orders-part-{number}"));
            assert_eq!(partitions.filter(|name| replica.owns(name)).count(), 3);
            let topics = (0..90).map(|number| format!("/default/topic{number}"));
            let owned = topics.filter(|name| replica.owns(name)).count();
            assert!((15..45).contains(&owned), "{owned}");
        }
    }
}
