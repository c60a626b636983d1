//! What an inbox adds up to, counted from what there is of it: after a loss.

use bytes::Bytes;
use prost::Message as _;

use super::totals::Totals;
use crate::{
    backend::{Backend, Changes, Failure, Space},
    keys::{Table, last_number},
};

/// Where the keys of a connector begin, in the space of records; behind the number of
/// their table, in that of small things.
type Name = [u8];

/// Counts, and makes totals of it. `known` are totals that were once told: no number is
/// used again.
pub(crate) fn recount(
    backend: &dyn Backend,
    name: &Name,
    known: Option<&[u8]>,
    changes: &mut Changes,
) -> Result<(), Failure> {
    let key = |table: Table| -> Bytes { [&[table as u8], name].concat().into() };
    let stored = backend.value(Space::State, &key(Table::Inboxes))?;
    let decode = |bytes: &[u8]| Totals::decode(bytes).ok();
    let before = stored.and_then(|bytes| decode(&bytes)).unwrap_or_default();
    let known = known.and_then(decode).unwrap_or_default();
    let next_seq = before.next_seq.max(known.next_seq).max(1);
    let latest_ms = before.latest_ms.max(known.latest_ms);
    let mut totals = Totals { next_seq, latest_ms, ..Totals::default() };
    let numbered = |prefix: &[u8], number: u64| [prefix, &number.to_be_bytes()].concat();
    let marks = key(Table::Retained);
    for entry in backend.range(Space::Records, &numbered(name, 0), &numbered(name, u64::MAX)) {
        let (key, value) = entry?;
        let Some(seq) = last_number(&key) else { continue };
        let retained = backend.value(Space::State, &numbered(&marks, seq))?.is_some();
        totals.count(seq, value.len() as u64, retained);
    }
    for entry in backend.range(Space::State, &numbered(&marks, 0), &numbered(&marks, u64::MAX)) {
        let (mark, _) = entry?;
        let Some(seq) = last_number(&mark) else { continue };
        if backend.value(Space::Records, &numbered(name, seq))?.is_none() {
            changes.insert((Space::State, mark), None);
        }
    }
    let value = totals.counted().encode_to_vec().into();
    changes.insert((Space::State, key(Table::Inboxes)), Some(value));
    Ok(())
}

impl Totals {
    fn count(&mut self, seq: u64, bytes: u64, retained: bool) {
        self.next_seq = self.next_seq.max(seq + 1);
        let (records, all, first) = match retained {
            true => (&mut self.retained_records, &mut self.retained_bytes, &mut self.retained_head),
            false => (&mut self.records, &mut self.bytes, &mut self.head),
        };
        if *records == 0 {
            *first = seq;
        }
        *records += 1;
        *all += bytes;
    }

    /// Where there are none, none has a lower number than the next.
    fn counted(self) -> Self {
        let head = if self.records == 0 { self.next_seq } else { self.head };
        let retained_head =
            if self.retained_records == 0 { self.next_seq } else { self.retained_head };
        Self { head, retained_head, ..self }
    }
}
