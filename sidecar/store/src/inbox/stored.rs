//! Where the records of an inbox are in the database.

use std::sync::Arc;

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};

use crate::{
    backend::{Failure, Space},
    keys::{Key, Table, last_number},
    transaction::Transaction,
};

/// Says of a resolved record that it is retained.
#[derive(Clone, Copy, Debug)]
pub(super) struct Mark {
    pub(super) resolved_ms: i64,
    pub(super) appended_ms: i64,
    pub(super) bytes: u64,
}

impl Mark {
    fn encode(self) -> Bytes {
        let mut bytes = BytesMut::with_capacity(24);
        bytes.put_i64(self.resolved_ms);
        bytes.put_i64(self.appended_ms);
        bytes.put_u64(self.bytes);
        bytes.freeze()
    }

    /// One that cannot be read is as old as can be.
    fn decode(mut bytes: Bytes) -> Self {
        if bytes.len() < 24 {
            return Self { resolved_ms: i64::MIN, appended_ms: i64::MIN, bytes: 0 };
        }
        let (resolved_ms, appended_ms) = (bytes.get_i64(), bytes.get_i64());
        Self { resolved_ms, appended_ms, bytes: bytes.get_u64() }
    }
}

/// The keys of one connector.
pub(super) struct Keys {
    connector: Arc<str>,
}

impl Keys {
    pub(super) fn new(connector: &Arc<str>) -> Self {
        Self { connector: Arc::clone(connector) }
    }

    pub(super) fn totals(&self) -> Bytes {
        Key::of(Table::Inboxes).text(&self.connector).done()
    }

    pub(super) fn record(&self, seq: u64) -> Bytes {
        Key::new().text(&self.connector).number(seq).done()
    }

    fn mark(&self, seq: u64) -> Bytes {
        Key::of(Table::Retained).text(&self.connector).number(seq).done()
    }

    pub(super) fn put_mark(&self, tx: &mut Transaction<'_>, seq: u64, mark: Mark) {
        tx.put(Space::State, self.mark(seq), mark.encode());
    }

    /// Deletes a retained record, with its mark.
    pub(super) fn delete_retained(&self, tx: &mut Transaction<'_>, seq: u64) {
        tx.delete(Space::State, self.mark(seq));
        tx.delete(Space::Records, self.record(seq));
    }

    /// The marks of retained records from `from` on, below `to`, in order.
    pub(super) fn marks<'t>(
        &self,
        tx: &'t Transaction<'_>,
        from: u64,
        to: u64,
    ) -> impl Iterator<Item = Result<(u64, Mark), Failure>> + use<'t> {
        let entries = tx.range(Space::State, &self.mark(from), &self.mark(to));
        entries.filter_map(|entry| match entry {
            Ok((key, value)) => Some(Ok((last_number(&key)?, Mark::decode(value)))),
            Err(failure) => Some(Err(failure)),
        })
    }

    /// All records from `from` on, below `to`, in order, and whether each is only
    /// retained.
    pub(super) fn records<'t>(
        &self,
        tx: &'t Transaction<'_>,
        from: u64,
        to: u64,
        with_marks: bool,
    ) -> impl Iterator<Item = Result<(u64, Bytes, bool), Failure>> + use<'t> {
        // Nothing is marked in an empty range.
        let mut marks = self.marks(tx, from, if with_marks { to } else { from }).peekable();
        let records = tx.range(Space::Records, &self.record(from), &self.record(to));
        records.filter_map(move |entry| {
            let (key, value) = match entry {
                Ok(entry) => entry,
                Err(failure) => return Some(Err(failure)),
            };
            let seq = last_number(&key)?;
            while marks.next_if(|mark| matches!(mark, Ok((marked, _)) if *marked < seq)).is_some() {
            }
            match marks.peek() {
                Some(Err(failure)) => Some(Err(failure.clone())),
                Some(Ok((marked, _))) => Some(Ok((seq, value, *marked == seq))),
                None => Some(Ok((seq, value, false))),
            }
        })
    }
}
