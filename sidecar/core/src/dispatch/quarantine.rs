//! Finds the record that crashes its workers.

use super::{Dispatch, Event};
use crate::{hash::PrehashedMap, record::Fingerprint};

/// Most suspicions that are remembered of an earlier start.
const MOST_RECALLED: usize = 10_000;

/// How often a record was near a crash, for a store to keep.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Suspicion {
    /// Crashes of workers that had it in hand.
    pub crashes: u32,
    /// Of these, those that had nothing else in hand and tell something about it.
    pub alone: u32,
    /// Of these, those since anything last spoke for it.
    pub in_a_row: u32,
}

/// What is known of suspects.
#[derive(Debug, Default)]
pub(super) struct Quarantine {
    /// Suspicions of an earlier start, until their records come.
    recalled: PrehashedMap<Fingerprint, Suspicion>,
}

impl Dispatch {
    /// Takes up what an earlier start suspected of records that were not resolved.
    /// To be called before the first [`admit`](Self::admit).
    pub fn recall(&mut self, suspicions: impl IntoIterator<Item = (Fingerprint, Suspicion)>) {
        for (fingerprint, suspicion) in suspicions {
            if self.quarantine.recalled.len() < MOST_RECALLED {
                self.quarantine.recalled.insert(fingerprint, suspicion);
            } else {
                self.events.push_back(Event::Suspected { fingerprint, suspicion: None });
            }
        }
    }
}
