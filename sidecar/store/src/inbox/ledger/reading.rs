//! What reads records, and goes on where it cannot.

use super::{LOOK, Ledger, Step, damaged};
use crate::{backend::Failure, commit::Refusal, inbox::encoding, transaction::Transaction};

impl Ledger {
    pub(in crate::inbox) fn read(
        &mut self,
        tx: &Transaction<'_>,
        after: u64,
        max_records: usize,
        max_bytes: usize,
    ) -> Result<Step, Refusal> {
        let (mut entries, mut bytes, mut looked_at) = (Vec::new(), 0, 0);
        if self.totals.records == 0 || max_records == 0 {
            return Ok(Step::Entries(entries));
        }
        let from = after.saturating_add(1).max(self.totals.head);
        let mut next = from;
        let marked = self.totals.retained_records > 0;
        for record in self.keys.records(tx, from, self.totals.next_seq, marked) {
            let (seq, value, retained) = match record {
                Ok(record) => record,
                Err(_) if !entries.is_empty() => break,
                Err(failure) => return self.pass_over(tx, next, failure.into()),
            };
            looked_at += 1;
            if !retained {
                match encoding::decode(seq, &value) {
                    Some(entry) => entries.push(entry),
                    None if !entries.is_empty() => break,
                    None => {
                        let damaged = damaged(&self.account, "record", seq);
                        return self.pass_over(tx, seq, damaged.into());
                    }
                }
                bytes += value.len();
            } else if looked_at >= LOOK && entries.is_empty() {
                return Ok(Step::NothingUpTo(seq));
            }
            next = seq + 1;
            if entries.len() >= max_records || bytes >= max_bytes || looked_at >= 2 * LOOK {
                break;
            }
        }
        Ok(Step::Entries(entries))
    }

    /// Goes on behind the records from `first` on that cannot be read; with the error, as
    /// long as they may yet be.
    fn pass_over(
        &mut self,
        tx: &Transaction<'_>,
        first: u64,
        error: Refusal,
    ) -> Result<Step, Refusal> {
        if !self.unreadable.is_given_up(first) {
            return Err(error);
        }
        let last = self.keys.unreadable_to(tx, first, self.totals.next_seq);
        if self.unreadable.pass(first, last) {
            tracing::error!(
                connector = &*self.account.connector, first, last, %error,
                "records of the inbox cannot be read and are passed over, those behind them are \
                 not: see `danube-sidecar store check`, and restore or repair the data directory"
            );
        }
        Ok(Step::NothingUpTo(last))
    }

    /// Numbers, bytes and times of the records that wait, of those in `wanted`.
    pub(super) fn waiting(
        &self,
        tx: &Transaction<'_>,
        first: u64,
        last: u64,
        wanted: &[u64],
    ) -> Result<Vec<(u64, u64, Option<i64>)>, Failure> {
        let marked = self.totals.retained_records > 0;
        let records = self.keys.records(tx, first, last.saturating_add(1), marked);
        let waiting = records.filter(|record| match record {
            Ok((seq, _, retained)) => !retained && wanted.binary_search(seq).is_ok(),
            Err(_) => true,
        });
        let sizes = waiting.map(|record| {
            record.map(|(seq, value, _)| (seq, value.len() as u64, encoding::appended_ms(&value)))
        });
        sizes.collect()
    }
}
