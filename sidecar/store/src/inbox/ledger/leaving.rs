//! An inbox whose connector is gone: another one takes over what waits in it, or it is
//! thrown away. Step by step, so that others get their turn.

use super::{Ledger, Refusal, Space, Transaction};

/// Most records, and most bytes, of one step.
const RECORDS: usize = 1000;
const BYTES: usize = 4 << 20;

/// What one step has done.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Left {
    pub(crate) records: u64,
    pub(crate) is_last: bool,
}

impl Ledger {
    /// The oldest records leave: those that wait go behind what waits in `heir`, where
    /// there is one. What is only retained goes.
    pub(crate) fn leave(
        &mut self,
        tx: &mut Transaction<'_>,
        mut heir: Option<&mut Self>,
    ) -> Result<Left, Refusal> {
        let (mut records, mut bytes) = (Vec::new(), 0);
        let first = self.totals.head.min(self.totals.retained_head);
        let stored = self.keys.records(tx, first, self.totals.next_seq, true);
        for record in stored.take(RECORDS) {
            let record = record?;
            bytes += record.1.len();
            records.push(record);
            if bytes >= BYTES {
                break;
            }
        }
        let mut left = Left { records: 0, is_last: records.is_empty() };
        for (seq, value, retained) in records {
            let size = value.len() as u64;
            if retained {
                self.keys.delete_retained(tx, seq);
                self.totals.retained_records = self.totals.retained_records.saturating_sub(1);
                self.totals.retained_bytes = self.totals.retained_bytes.saturating_sub(size);
                self.totals.retained_head = seq + 1;
            } else {
                tx.delete(Space::Records, self.keys.record(seq));
                self.totals.records = self.totals.records.saturating_sub(1);
                self.totals.bytes = self.totals.bytes.saturating_sub(size);
                self.totals.head = seq + 1;
                left.records += 1;
            }
            self.deleted(size);
            if let Some(heir) = heir.as_deref_mut().filter(|_| !retained) {
                heir.take_over(tx, value);
            }
        }
        if left.is_last {
            // Nothing is there, whatever was counted.
            self.totals.records = 0;
            self.totals.bytes = 0;
            self.totals.retained_records = 0;
            self.totals.retained_bytes = 0;
            self.totals.head = self.totals.next_seq;
            self.totals.retained_head = self.totals.next_seq;
            self.seen.leave(tx, heir.as_deref_mut().map(|heir| &mut heir.seen))?;
        }
        self.oldest_ms = None;
        self.save(tx);
        if let Some(heir) = heir {
            heir.save(tx);
        }
        Ok(left)
    }

    fn take_over(&mut self, tx: &mut Transaction<'_>, value: bytes::Bytes) {
        if self.totals.records == 0 {
            self.totals.head = self.totals.next_seq;
            self.oldest_ms = super::encoding::appended_ms(&value);
        }
        self.put(tx, value);
    }
}
