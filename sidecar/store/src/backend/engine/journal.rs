//! The engine's journals, read by ourselves: the engine stops at the first byte that
//! it does not understand, cuts the file there, and says nothing.
//!
//! A journal is a sequence of batches: a start (number of items, sequence number), the
//! items, an end (checksum of the items, trailer). What the checksum does not cover, the
//! [`Stamp`] in each of our batches does. Behind the last one are zeros, or nothing.

use std::{
    fs::File,
    io::{self, Read as _},
    path::Path,
};

use xxhash_rust::xxh3::xxh3_64;

use super::stamp::{self, Stamp};

const START: u8 = 1;
const ITEM: u8 = 2;
const END: u8 = 3;
/// Ends each batch.
const TRAILER: &[u8] = b"FJL\x03";

/// More than a start and a stamp.
const START_BYTES: u64 = 64;

const VALUE: u8 = 0;
const DELETION: u8 = 1;
const NOT_COMPRESSED: u8 = 0;

/// A batch that is whole.
#[derive(Clone, Copy, Debug)]
pub(super) struct Batch<'b> {
    /// Where the next one begins, in bytes of its file.
    pub(super) end: usize,
    /// The engine's own number; no two batches share one.
    pub(super) seqno: u64,
    items: &'b [u8],
}

/// What a batch does to a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Item<'b> {
    pub(super) keyspace: u64,
    pub(super) key: &'b [u8],
    /// `None` where the key goes.
    pub(super) value: Option<&'b [u8]>,
}

impl<'b> Batch<'b> {
    /// The batch that begins at `at`, if a whole one does.
    pub(super) fn at(bytes: &'b [u8], at: usize) -> Option<Self> {
        let mut cursor = Cursor(bytes.get(at..)?);
        if cursor.byte()? != START {
            return None;
        }
        let (count, seqno) = (cursor.u32()?, cursor.u64()?);
        let before = cursor.0;
        for _ in 0..count {
            cursor.item()?;
        }
        let items = &before[..before.len() - cursor.0.len()];
        let whole = cursor.byte()? == END
            && cursor.u64()? == xxh3_64(items)
            && cursor.take(TRAILER.len())? == TRAILER;
        whole.then_some(Self { end: bytes.len() - cursor.0.len(), seqno, items })
    }

    /// The first whole batch behind `from`, which is not the beginning of one.
    pub(super) fn behind(bytes: &'b [u8], from: usize) -> Option<Self> {
        let rest = bytes.get(from..)?;
        let trailers = rest.windows(TRAILER.len()).enumerate();
        let ends = trailers.filter(|(_, window)| *window == TRAILER);
        ends.map(|(at, _)| from + at + TRAILER.len()).find_map(|at| Self::at(bytes, at))
    }

    pub(super) fn items(&self) -> impl Iterator<Item = Item<'b>> + use<'b> {
        let mut cursor = Cursor(self.items);
        std::iter::from_fn(move || cursor.item())
    }

    /// The same with the engine's number as the stamp has it: no checksum covers the other.
    pub(super) fn renumbered(&self) -> Vec<u8> {
        let seqno = self.stamp().map_or(self.seqno, |stamp| stamp.floor);
        let count = (self.items().count() as u32).to_le_bytes();
        let start = [&[START][..], &count, &seqno.to_le_bytes()].concat();
        let end = [&[END][..], &xxh3_64(self.items).to_le_bytes(), TRAILER].concat();
        [&start, self.items, &end].concat()
    }

    /// Ours, unless an older version wrote the batch.
    pub(super) fn stamp(&self) -> Option<Stamp> {
        let item = self.items().find(|item| item.key == stamp::KEY)?;
        Stamp::decode(item.value?)
    }
}

/// What a journal begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum First {
    Nothing,
    /// A batch of an older version, or what is none.
    Unstamped,
    Stamped(Stamp),
}

/// Looks at the beginning of a journal only: the stamp is the first item of our batches.
pub(super) fn first(path: &Path) -> io::Result<First> {
    let mut bytes = Vec::new();
    match File::open(path) {
        Ok(file) => _ = file.take(START_BYTES).read_to_end(&mut bytes)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(First::Nothing),
        Err(error) => return Err(error),
    }
    let mut cursor = Cursor(&bytes);
    if matches!(cursor.byte(), None | Some(0)) {
        return Ok(First::Nothing);
    }
    let item = cursor.u32().and_then(|_| cursor.u64()).and_then(|_| cursor.item());
    let item = item.filter(|item| item.key == stamp::KEY);
    let stamp = item.and_then(|item| Stamp::decode(item.value?));
    Ok(stamp.map_or(First::Unstamped, First::Stamped))
}

struct Cursor<'b>(&'b [u8]);

impl<'b> Cursor<'b> {
    fn take(&mut self, length: usize) -> Option<&'b [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    fn chunk<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    fn byte(&mut self) -> Option<u8> {
        self.chunk::<1>().map(|[byte]| byte)
    }

    fn u32(&mut self) -> Option<u32> {
        self.chunk().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Option<u64> {
        self.chunk().map(u64::from_le_bytes)
    }

    fn item(&mut self) -> Option<Item<'b>> {
        if self.byte()? != ITEM {
            return None;
        }
        let kind = self.byte()?;
        if self.byte()? != NOT_COMPRESSED {
            return None;
        }
        let keyspace = self.u64()?;
        let key_length = usize::from(u16::from_le_bytes(self.chunk()?));
        let (length, stored_length) = (self.u32()?, self.u32()?);
        let key = self.take(key_length)?;
        let value = self.take(usize::try_from(stored_length).ok()?)?;
        match kind {
            _ if length != stored_length => None,
            VALUE => Some(Item { keyspace, key, value: Some(value) }),
            DELETION => Some(Item { keyspace, key, value: None }),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Change<'c> = (&'c [u8], Option<&'c [u8]>);

    fn journal(batches: &[(u64, &[Change<'_>])]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (seqno, items) in batches {
            bytes.push(START);
            bytes.extend((items.len() as u32).to_le_bytes());
            bytes.extend(seqno.to_le_bytes());
            let from = bytes.len();
            for (key, value) in *items {
                let length = value.map_or(0, <[u8]>::len) as u32;
                bytes.extend([ITEM, u8::from(value.is_none()), NOT_COMPRESSED]);
                bytes.extend(1_u64.to_le_bytes());
                bytes.extend((key.len() as u16).to_le_bytes());
                bytes.extend(length.to_le_bytes());
                bytes.extend(length.to_le_bytes());
                bytes.extend(*key);
                bytes.extend(value.unwrap_or_default());
            }
            let checksum = xxh3_64(&bytes[from..]);
            bytes.push(END);
            bytes.extend(checksum.to_le_bytes());
            bytes.extend(TRAILER);
        }
        bytes
    }

    #[test]
    fn a_batch_is_read_as_it_was_written() {
        let bytes = journal(&[(7, &[(b"key", Some(b"value")), (b"gone", None)]), (9, &[])]);
        let first = Batch::at(&bytes, 0).unwrap();
        let items: Vec<_> = first.items().map(|item| (item.key, item.value)).collect();
        assert_eq!(items, [(&b"key"[..], Some(&b"value"[..])), (b"gone", None)]);
        let second = Batch::at(&bytes, first.end).unwrap();
        assert_eq!((first.seqno, second.seqno, second.end), (7, 9, bytes.len()));
    }

    #[test]
    fn a_batch_with_any_byte_changed_but_its_number_is_none_and_the_next_is_found() {
        let whole = journal(&[(7, &[(b"key", Some(b"value FJL\x03"))]), (9, &[(b"key", None)])]);
        let first = Batch::at(&whole, 0).unwrap();
        for at in (0..first.end).filter(|at| !(5..13).contains(at)) {
            let mut bytes = whole.clone();
            bytes[at] ^= 0x10;
            assert!(Batch::at(&bytes, 0).is_none(), "byte {at}");
            let behind = Batch::behind(&bytes, 0);
            // Without its trailer nothing tells where it ends.
            let expected = (at < first.end - TRAILER.len()).then_some(9);
            assert_eq!(behind.map(|batch| batch.seqno), expected, "byte {at}");
        }
    }

    #[test]
    fn a_batch_that_is_cut_is_none() {
        let whole = journal(&[(7, &[(b"key", Some(b"value"))])]);
        for length in 0..whole.len() {
            assert!(Batch::at(&whole[..length], 0).is_none(), "{length} bytes");
        }
    }
}
