//! Past what cannot be read: a damaged block is an error for each read that meets it, and
//! what is behind it is as good as before.

use bytes::Bytes;

/// Bytes of a key in which the end of a gap is searched.
const WIDTH: usize = 8;

/// The least key found behind `after`, below `end`, from which can be read again, as
/// `reads` says of a key: from `after` itself it cannot. `None` when nothing up to `end`
/// can.
pub(crate) fn readable_behind(
    reads: impl Fn(&[u8]) -> bool,
    after: &[u8],
    end: &[u8],
) -> Option<Bytes> {
    let mut bad = after.to_vec();
    // Ever further ahead, until one reads.
    let good = (1..=after.len()).rev().find_map(|length| {
        let next = successor(&after[..length])?;
        if reads(&next) {
            return Some(next);
        }
        bad.clone_from(&next);
        None
    })?;
    let common = bad.iter().zip(&good).take_while(|(one, other)| one == other).count();
    let (mut bad, mut found) = (number(&bad[common..]), number(&good[common..]));
    let key = |number: u64| [&good[..common], &number.to_be_bytes()].concat();
    while found - bad > 1 {
        let middle = bad + (found - bad) / 2;
        if reads(&key(middle)) { found = middle } else { bad = middle }
    }
    let nearest = key(found);
    let nearest = if nearest > good { good } else { nearest };
    (&nearest[..] < end).then(|| nearest.into())
}

/// The least key that is greater than all that begin with this one.
fn successor(prefix: &[u8]) -> Option<Vec<u8>> {
    let last = prefix.iter().rposition(|byte| *byte < u8::MAX)?;
    let mut next = prefix[..=last].to_vec();
    next[last] += 1;
    Some(next)
}

fn number(bytes: &[u8]) -> u64 {
    let mut wide = [0; WIDTH];
    let length = bytes.len().min(WIDTH);
    wide[..length].copy_from_slice(&bytes[..length]);
    u64::from_be_bytes(wide)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether the first of the numbers from this key on is none of the gap.
    fn reads(numbers: &[u64], gap: &std::ops::Range<u64>, from: &[u8]) -> bool {
        let first = numbers.iter().find(|number| &key(**number)[..] >= from);
        first.is_none_or(|first| !gap.contains(first))
    }

    fn key(number: u64) -> Vec<u8> {
        [&b"sink"[..], &number.to_be_bytes()].concat()
    }

    #[test]
    fn what_is_behind_a_gap_of_any_size_is_found() {
        let numbers: Vec<u64> = (0..100).chain(240..300).chain([69_999, 70_000, 70_001]).collect();
        for gap in [3..4, 3..40, 250..260, 200..70_000, 0..1] {
            let reads = |from: &[u8]| reads(&numbers, &gap, from);
            let found = readable_behind(reads, &key(gap.start), &key(u64::MAX)).unwrap();
            let first = numbers.iter().find(|number| key(**number)[..] >= found[..]);
            let expected = numbers.iter().find(|number| **number >= gap.end);
            assert_eq!(first, expected, "{gap:?}");
        }
    }

    #[test]
    fn behind_a_gap_without_an_end_is_nothing() {
        let numbers: Vec<u64> = (0..9).collect();
        let reads = |from: &[u8]| reads(&numbers, &(3..u64::MAX), from);
        let found = readable_behind(reads, &key(3), &key(9));
        assert!(found.is_none_or(|found| found[..] > key(8)[..]));
    }
}
