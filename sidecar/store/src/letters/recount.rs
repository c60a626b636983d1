//! What the letters of a connector add up to, counted from what there is of them: after a
//! loss.

use prost::Message as _;

use super::shelf::Totals;
use crate::{
    backend::{Backend, Changes, Failure, Space},
    keys::{Table, last_number},
};

/// As [`crate::inbox::recount`].
pub(crate) fn recount(
    backend: &dyn Backend,
    name: &[u8],
    known: Option<&[u8]>,
    changes: &mut Changes,
) -> Result<(), Failure> {
    let total = [&[Table::LetterTotals as u8], name].concat();
    let stored = backend.value(Space::State, &total)?;
    let decode = |bytes: &[u8]| Totals::decode(bytes).ok();
    let before = stored.and_then(|bytes| decode(&bytes)).unwrap_or_default();
    let known = known.and_then(decode).unwrap_or_default();
    let last_id = before.last_id.max(known.last_id);
    let mut totals = Totals { last_id, evicted: before.evicted, ..Totals::default() };
    let numbered = |number: u64| [name, &number.to_be_bytes()].concat();
    for entry in backend.range(Space::Letters, &numbered(0), &numbered(u64::MAX)) {
        let (key, value) = entry?;
        let Some(id) = last_number(&key) else { continue };
        if totals.letters == 0 {
            totals.first_id = id;
        }
        totals.last_id = totals.last_id.max(id);
        totals.letters += 1;
        totals.bytes += value.len() as u64;
    }
    totals.first_id = if totals.letters == 0 { totals.last_id + 1 } else { totals.first_id };
    changes.insert((Space::State, total.into()), Some(totals.encode_to_vec().into()));
    Ok(())
}
