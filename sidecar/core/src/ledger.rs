//! Every record in hand, from its admission to its end; repeats recognised by
//! identity.

use std::{num::NonZeroU16, sync::Arc, time::Instant};

use crate::{
    dispatch::{Admission, WorkerId},
    hash::ByPartition,
    identities::{Identities, Ticket},
    record::{Fingerprint, Record},
    retry::Tries,
    slab::{Key, Slab},
    window::Held,
};

/// Tells the batches in a worker's hands apart; numbers come again after 65 535 of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Batch(NonZeroU16);

impl Batch {
    pub(crate) const FIRST: Self = Self(NonZeroU16::MIN);

    pub(crate) fn next(self) -> Self {
        self.0.checked_add(1).map_or(Self::FIRST, Self)
    }
}

/// A record in hand.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) record: Arc<Record>,
    pub(crate) fingerprint: Fingerprint,
    /// Its `encoded_len`.
    pub(crate) bytes: usize,
    /// Orders records of a lane; counted up at each admission.
    pub(crate) sequence: u64,
    pub(crate) admitted: Instant,
    /// None where it can never be offered.
    pub(crate) lane: Option<Key>,
    /// How often it was offered.
    pub(crate) attempt: u32,
    /// How many crashes of workers it was in hand at.
    pub(crate) crashes: u16,
    /// Whether it may be what crashed them: it is offered alone.
    pub(crate) suspect: bool,
    pub(crate) tries: Tries,
    /// Which batch of its worker it was offered in last; none where it was alone.
    pub(crate) batch: Option<Batch>,
    /// Most records of a batch that it may be offered in.
    pub(crate) most: u16,
    pub(crate) place: Place,
    partition: u32,
    ticket: Ticket,
}

/// Where the identity of a record in hand is kept.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Known {
    partition: u32,
    ticket: Ticket,
}

impl Entry {
    /// The most of a batch that it may be offered in, where it failed in a larger one.
    pub(crate) fn most(&self) -> Option<usize> {
        (self.most < u16::MAX).then_some(usize::from(self.most))
    }

    /// Whether an operator should see it: something went wrong with it, and it is not
    /// resolved.
    pub(crate) fn fails(&self) -> bool {
        self.tries.has_failed() || self.suspect || matches!(self.place, Place::Parked(_))
    }

    /// Whether it keeps its lane from offering anything else: it failed or is a
    /// suspect, and what becomes of it is not known yet. One that waits for its next attempt
    /// stands first in its lane, so it needs no such hold.
    pub(crate) fn holds_lane(&self) -> bool {
        let away = matches!(self.place, Place::InHand { .. } | Place::Parked(_));
        away && (self.tries.has_failed() || self.suspect)
    }
}

impl Place {
    /// In its lane, offered before, and due.
    pub(crate) const READY: Self = Self::Again { due: None, early: None };

    /// Whether it is in this worker's hands.
    pub(crate) fn is_at(self, id: WorkerId) -> bool {
        matches!(self, Self::InHand { worker, .. } if worker == id)
    }

    /// Since when it is in a worker's hands, if it is.
    pub(crate) fn in_hand_since(self) -> Option<Instant> {
        match self {
            Self::InHand { since, .. } => Some(since),
            Self::Fresh | Self::Again { .. } | Self::Parked(_) => None,
        }
    }
}

/// Where a record is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// In its lane, never offered.
    Fresh,
    /// In its lane, offered before; not before `due`, while that is set. Where
    /// `early` is set, an outage is the reason, and that the earliest time.
    Again { due: Option<Instant>, early: Option<Instant> },
    /// Offered and unanswered.
    InHand { worker: WorkerId, delivery: u64, since: Instant },
    /// In nobody's hands, waiting for a decision from outside.
    Parked(Parked),
}

/// What a record waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Parked {
    /// The confirmation of its dead letter.
    DeadLetter,
    /// The operator.
    Suspended,
}

/// All records of a connector.
#[derive(Debug)]
pub(crate) struct Ledger {
    entries: Slab<Entry>,
    partitions: Vec<Identities>,
    partition_places: ByPartition<u32>,
    remember: usize,
    last_sequence: u64,
    held: Held,
}

impl Ledger {
    /// Remembers up to `remember` finished identities per partition.
    pub(crate) fn new(remember: usize) -> Self {
        Self {
            entries: Slab::default(),
            partitions: Vec::new(),
            partition_places: ByPartition::default(),
            remember,
            last_sequence: 0,
            held: Held::default(),
        }
    }

    /// What a delivered record is. One that is not known is in hand from here on, and
    /// MUST be [`insert`](Self::insert)ed.
    ///
    /// # Errors
    /// A repeat, and of what.
    pub(crate) fn recognize(
        &mut self,
        record: &Record,
        fingerprint: Fingerprint,
    ) -> Result<Known, Admission> {
        let partition = self.partition(&record.identity.partition);
        let identities = &mut self.partitions[partition as usize];
        let ticket = identities.recognize(record.identity.offset, fingerprint)?;
        Ok(Known { partition, ticket })
    }

    /// Takes a record in hand that was not known.
    pub(crate) fn insert(
        &mut self,
        now: Instant,
        record: Arc<Record>,
        fingerprint: Fingerprint,
        Known { partition, ticket }: Known,
        bytes: usize,
    ) -> Key {
        self.held += Held::one(bytes);
        self.last_sequence += 1;
        self.entries.insert(Entry {
            record,
            fingerprint,
            bytes,
            sequence: self.last_sequence,
            admitted: now,
            lane: None,
            attempt: 0,
            crashes: 0,
            suspect: false,
            tries: Tries::default(),
            batch: None,
            most: u16::MAX,
            place: Place::Fresh,
            partition,
            ticket,
        })
    }

    /// The record came to its end: its identity stays remembered.
    pub(crate) fn finish(&mut self, key: Key) -> Option<Entry> {
        let entry = self.entries.remove(key)?;
        self.held -= Held::one(entry.bytes);
        self.partitions[entry.partition as usize].finish(entry.ticket, entry.fingerprint);
        Some(entry)
    }

    /// As if the record had never been delivered.
    pub(crate) fn forget(&mut self, key: Key) {
        let Some(entry) = self.entries.remove(key) else { return };
        self.held -= Held::one(entry.bytes);
        self.partitions[entry.partition as usize].forget(entry.ticket, entry.fingerprint);
    }

    /// Forgets that the record was finished, if it was.
    pub(crate) fn forget_finished(&mut self, record: &Record) {
        let partition = self.partition(&record.identity.partition);
        let fingerprint = record.identity.fingerprint();
        self.partitions[partition as usize].forget_finished(record.identity.offset, fingerprint);
    }

    /// The sequence of the record admitted last.
    pub(crate) fn last_sequence(&self) -> u64 {
        self.last_sequence
    }

    pub(crate) fn get(&self, key: Key) -> Option<&Entry> {
        self.entries.get(key)
    }

    pub(crate) fn get_mut(&mut self, key: Key) -> Option<&mut Entry> {
        self.entries.get_mut(key)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (Key, &Entry)> {
        self.entries.iter()
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(crate) fn held(&self) -> Held {
        self.held
    }

    fn partition(&mut self, name: &Arc<str>) -> u32 {
        *self.partition_places.get_or_insert_with(name, || {
            self.partitions.push(Identities::new(self.remember));
            // Each has a name in memory: there are fewer than 2³².
            (self.partitions.len() - 1) as u32
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_takes_at_most_160_bytes_beside_its_record() {
        assert!(size_of::<Entry>() <= 160, "{}", size_of::<Entry>());
    }
}
