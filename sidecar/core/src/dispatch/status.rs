//! What an operator wants to see.

use std::{collections::BTreeSet, sync::Arc};

use super::{Dispatch, Held, HeldLane, Status, WorkerId};
use crate::{
    ledger::{Entry, Parked, Place},
    slab::Key,
};

impl Dispatch {
    /// Records in hand.
    pub fn unresolved(&self) -> usize {
        self.ledger.len()
    }

    /// Records in hand and their bytes.
    pub fn held(&self) -> Held {
        self.ledger.held()
    }

    /// What is unresolved at a worker; none if it has left.
    pub fn worker_load(&self, worker: WorkerId) -> Option<Held> {
        self.workers.get(&worker).map(|worker| worker.in_hand)
    }

    /// What an operator wants to see. Walks over everything in hand.
    pub fn status(&self) -> Status {
        let mut status = Status {
            held: self.held(),
            workers_paused: self
                .workers
                .values()
                .filter(|worker| worker.settings.window.is_closed())
                .count(),
            retries_waiting: self.retries.len(),
            late_failures: self.late_failures,
            lanes: self.lanes.len(),
            breaker: self.breaker(),
            suspects: self.quarantine.len(),
            ..Status::default()
        };
        for (_, entry) in self.ledger.iter() {
            match entry.place {
                Place::InHand { worker, since, .. } => {
                    status.in_hand += 1;
                    let longest = status.longest_in_hand.map_or(since, |(since, _)| since);
                    if since <= longest {
                        status.longest_in_hand = Some((since, worker));
                    }
                }
                Place::Parked(Parked::DeadLetter) => status.dead_letters_pending += 1,
                Place::Parked(Parked::Suspended) => status.suspended += 1,
                Place::Fresh | Place::Again { .. } => {}
            }
        }
        let holders = || self.ledger.iter().filter_map(|(_, entry)| self.held_by(entry));
        status.lanes_held = holders().map(|(lane, _)| lane).collect::<BTreeSet<_>>().len();
        status.held_lane = holders().next().map(|(_, held)| held);
        status
    }

    /// The lane in which other records wait for this one, because it failed or is a suspect.
    fn held_by(&self, entry: &Entry) -> Option<(Key, HeldLane)> {
        let key = entry.lane.filter(|_| entry.tries.has_failed() || entry.suspect)?;
        let lane = self.lanes.get(key).filter(|lane| lane.hash.is_some())?;
        let itself = usize::from(matches!(entry.place, Place::Again { .. }));
        if lane.again.len() + lane.fresh.len() == itself {
            return None;
        }
        let record = &entry.record;
        let partition = Arc::clone(&record.identity.partition);
        let (offset, attempt) = (record.identity.offset, entry.attempt);
        Some((key, HeldLane { partition, offset, key: record.key.clone(), attempt }))
    }
}
