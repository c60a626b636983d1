//! Hash maps that are quicker than std's, and the choice of a worker.

use std::{
    collections::{HashMap, HashSet},
    hash::{BuildHasherDefault, Hasher},
    sync::Arc,
};

/// A map for what every record is looked up by: its partition, its offset. Its hash is
/// seeded, and a third as costly as std's.
pub type FastMap<K, V> = HashMap<K, V, foldhash::fast::RandomState>;
/// A set of the same.
pub type FastSet<K> = HashSet<K, foldhash::fast::RandomState>;

/// Something for each partition. Records of one partition come many together: the one
/// that was asked for last is found without a hash.
#[derive(Clone, Debug)]
pub struct ByPartition<V> {
    all: Vec<(Arc<str>, V)>,
    places: FastMap<Arc<str>, usize>,
    last: usize,
}

impl<V> Default for ByPartition<V> {
    fn default() -> Self {
        Self { all: Vec::new(), places: FastMap::default(), last: 0 }
    }
}

impl<V> ByPartition<V> {
    /// What the partition has, if anything.
    pub fn get_mut(&mut self, partition: &Arc<str>) -> Option<&mut V> {
        let place = self.place(partition)?;
        self.all.get_mut(place).map(|(_, value)| value)
    }

    /// What the partition has; made where it has nothing yet.
    pub fn get_or_insert_with(&mut self, partition: &Arc<str>, make: impl FnOnce() -> V) -> &mut V {
        let place = self.place(partition).unwrap_or_else(|| {
            self.all.push((Arc::clone(partition), make()));
            self.places.insert(Arc::clone(partition), self.all.len() - 1);
            self.last = self.all.len() - 1;
            self.last
        });
        &mut self.all[place].1
    }

    /// Each partition with what it has.
    pub fn iter(&self) -> impl Iterator<Item = (&Arc<str>, &V)> {
        self.all.iter().map(|(partition, value)| (partition, value))
    }

    fn place(&mut self, partition: &Arc<str>) -> Option<usize> {
        let last = self.all.get(self.last).is_some_and(|(name, _)| Arc::ptr_eq(name, partition));
        if !last {
            self.last = *self.places.get(partition)?;
        }
        Some(self.last)
    }
}

/// A map whose keys hash to one well-mixed number.
pub(crate) type PrehashedMap<K, V> = HashMap<K, V, BuildHasherDefault<Prehashed>>;

/// Takes the low 64 bits of the last number written as the hash.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Prehashed(u64);

impl Hasher for Prehashed {
    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.0 = mix(self.0 ^ u64::from(byte));
        }
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = number;
    }

    fn write_u128(&mut self, number: u128) {
        self.0 = number as u64;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

/// Every bit of the result depends on every bit of `number` (the finalizer of
/// SplitMix64).
pub(crate) fn mix(mut number: u64) -> u64 {
    number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}

/// Highest random weight: when the candidates change, only the hashes of the one
/// that came or went move.
pub(crate) fn rendezvous(hash: u64, candidates: impl Iterator<Item = u64>) -> Option<u64> {
    candidates.max_by_key(|&candidate| mix(hash ^ mix(candidate)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_candidate_that_leaves_moves_only_its_own() {
        for hash in (0..1000).map(mix) {
            let before = rendezvous(hash, [1, 2, 3].into_iter());
            let after = rendezvous(hash, [1, 3].into_iter());
            assert!(before == Some(2) || before == after);
        }
    }

    #[test]
    fn partitions_are_told_apart_by_their_names() {
        let mut numbers = ByPartition::default();
        for (name, number) in [("a", 1), ("b", 2), ("a", 3), ("b", 4)] {
            numbers.get_or_insert_with(&name.into(), || number);
        }
        assert_eq!(numbers.get_mut(&"a".into()), Some(&mut 1));
        assert_eq!(numbers.get_mut(&"b".into()), Some(&mut 2));
        assert_eq!(numbers.get_mut(&"c".into()), None);
        assert_eq!(numbers.iter().count(), 2);
    }

    #[test]
    fn candidates_share_alike() {
        let mut shares = [0; 4];
        for hash in (0..4000).map(mix) {
            let Some(chosen) = rendezvous(hash, 0..4) else { continue };
            shares[chosen as usize] += 1;
        }
        assert!(shares.iter().all(|share| (850..1150).contains(share)), "{shares:?}");
    }
}
