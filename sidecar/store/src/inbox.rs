//! Records that were taken from Danube and are not resolved yet: what is in here
//! was acked to the broker, and comes to its connector from here.
//!
//! **Architecture invariant:** `append` returns after its records are written. They
//! go only by `resolve`, and those that are retained when they are old enough, or
//! when intake needs their room.

mod encoding;
mod ledger;
mod ledgers;
mod recount;
mod seen;
mod stored;
mod totals;
mod unreadable;

use std::{sync::Arc, time::Duration};

use danube_sidecar_core::record::{Fingerprint, Record};

use self::{
    encoding::Encoded,
    ledger::{Ledger, Moved, Step},
};
pub(crate) use self::{
    encoding::decode,
    ledger::{Left, peek},
    ledgers::{Account, Ledgers},
    recount::recount,
    totals::last_seq,
};
use crate::{
    Store, StoreError,
    backend::Durability,
    commit::{Kind, Refusal, Session},
    faults::Call,
    writer::Writer,
};

/// How a connector's inbox is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InboxSettings {
    /// Whether an append waits for the disk, not only for the operating system.
    pub fsync: bool,
    /// Most bytes of records, as stored. The database needs up to about 400 MiB
    /// more for its journal, and for what it has not given back yet.
    pub max_bytes: u64,
    /// How long resolved records are kept for a replay, at the least; but the room
    /// that intake needs they give up. Zero: not at all.
    pub retain: Duration,
}

/// Where a batch went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AppendedAt {
    /// The number of its first record; the others follow without a gap.
    pub first_seq: u64,
}

/// A record that waits to be resolved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its number in the inbox, from 1; never used again.
    pub seq: u64,
    /// When it was appended first, in milliseconds since the Unix epoch.
    pub appended_ms: i64,
    /// The record. Its payload shares memory with what was read from disk.
    pub record: Record,
    /// Whether a replay offers it once more.
    pub replayed: bool,
}

/// What an inbox holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct InboxUsage {
    /// Records that wait to be resolved.
    pub records: u64,
    /// Their bytes, as stored.
    pub bytes: u64,
    /// Resolved records that are kept for a replay.
    pub retained_records: u64,
    /// Their bytes, as stored.
    pub retained_bytes: u64,
    /// Most bytes of both.
    pub max_bytes: u64,
    /// The number of the last record that was appended; 0 where there was none.
    pub last_seq: u64,
    /// When the oldest of those that wait was appended, as far as known.
    pub oldest_ms: Option<i64>,
    /// Numbers of records that could not be read, and were passed over: see the log.
    pub unreadable: u64,
}

/// Which retained records are offered again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReplayFrom {
    /// Those appended at this time or later, in milliseconds since the Unix epoch.
    Time(i64),
    /// Those with this number or a greater one.
    Seq(u64),
}

/// A partition, and the fingerprints of its last records, oldest first.
type Remembered = (Arc<str>, Vec<Fingerprint>);

/// The inbox of one connector. Cheap to clone; one connector has one.
#[derive(Clone)]
pub struct Inbox {
    writer: Arc<Writer>,
    account: Arc<Account>,
}

impl Store {
    /// The inbox of `connector`, with what an earlier process left in it.
    ///
    /// # Errors
    /// When the database fails, or what it tells of the inbox cannot be read.
    pub async fn inbox(
        &self,
        connector: &str,
        settings: InboxSettings,
    ) -> Result<Inbox, StoreError> {
        let account = Arc::new(Account::new(connector, settings));
        let inbox = Inbox { writer: Arc::clone(&self.writer), account };
        inbox.write(Call::OpenInbox, 0, |_, _, _| Ok(())).await?;
        Ok(inbox)
    }
}

impl Inbox {
    /// Appends in order; returns when written to the operating system, or to the
    /// disk where the settings say so. The same commit remembers the records'
    /// fingerprints, and makes the last offset of each partition here its last
    /// contiguous one.
    ///
    /// Callers share a bounded queue of 64 MiB; a larger batch waits until it has
    /// the queue for itself.
    ///
    /// # Errors
    /// [`StoreError::InboxFull`] when the room is used up, [`StoreError::DiskLow`] when
    /// the disk has hardly any left: nothing was appended.
    /// Otherwise when the database fails: then it is open whether the records are
    /// in, and [`seen`](Self::seen) tells.
    pub async fn append(&self, records: Vec<Arc<Record>>) -> Result<AppendedAt, StoreError> {
        let now_ms = self.writer.now_ms();
        let encoded: Vec<_> = records.iter().map(|record| Encoded::new(record, now_ms)).collect();
        drop(records);
        let bytes = encoded.iter().map(|record| record.value.len()).sum();
        let durability =
            if self.account.settings.fsync { Durability::Power } else { Durability::Process };
        let appended =
            self.submit(Call::Append, Kind::Write(durability), bytes, move |ledger, session| {
                session.room.take(bytes as u64)?;
                ledger.sweep(&mut session.tx, now_ms)?;
                ledger.append(&mut session.tx, encoded)
            });
        Ok(AppendedAt { first_seq: appended.await? })
    }

    /// Resolves records; returns when that is written to the operating system.
    /// Those that are resolved already, or were never here, do not matter.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn resolve(&self, seqs: Vec<u64>) -> Result<(), StoreError> {
        let mut seqs = seqs;
        seqs.sort_unstable();
        seqs.dedup();
        let resolved = self.write(Call::Resolve, seqs.len() * 8, move |ledger, session, now_ms| {
            ledger.sweep(&mut session.tx, now_ms)?;
            Ok(ledger.resolve(&mut session.tx, &seqs, now_ms)?)
        });
        resolved.await
    }

    /// The records that wait, after the number `after`, in order: at most
    /// `max_records`, and no more once `max_bytes` are reached.
    ///
    /// # Errors
    /// When the database fails, or a record cannot be read. Asked again and again, it goes
    /// on behind those that cannot, names them in the log, and counts them.
    pub async fn read(
        &self,
        after: u64,
        max_records: usize,
        max_bytes: usize,
    ) -> Result<Vec<Entry>, StoreError> {
        let mut after = after;
        loop {
            let step = self.submit(Call::ReadInbox, Kind::Read, 0, move |ledger, session| {
                ledger.read(&session.tx, after, max_records, max_bytes)
            });
            match step.await? {
                Step::Entries(entries) => return Ok(entries),
                // Others get their turn before the search goes on.
                Step::NothingUpTo(seq) => after = seq,
            }
        }
    }

    /// The last 10 000 fingerprints of each partition, oldest first, whatever has
    /// become of the records.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn seen(&self) -> Result<Vec<(Arc<str>, Vec<Fingerprint>)>, StoreError> {
        self.submit(Call::ReadSeen, Kind::Read, 0, |ledger, session| Ok(ledger.seen(&session.tx)?))
            .await
    }

    /// What the inbox holds, as of the last commit.
    pub fn usage(&self) -> InboxUsage {
        self.account.usage()
    }

    /// Offers the resolved records that are still retained once more, behind what
    /// waits, under new numbers, and tells how many. After an error the same call
    /// goes on where it ended.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn replay(&self, from: ReplayFrom) -> Result<u64, StoreError> {
        let (mut moved, mut after, mut end) = (0, 0, None);
        loop {
            let step = self.write(Call::Replay, 0, move |ledger, session, _| {
                let end = end.unwrap_or(ledger.next_seq());
                Ok((end, ledger.replay(&mut session.tx, from, after, end)?))
            });
            let (before, Moved { records, last }) = step.await?;
            moved += records;
            let Some(last) = last else { return Ok(moved) };
            (after, end) = (last, Some(before));
        }
    }

    /// An append that panics when its records are in.
    #[cfg(test)]
    pub(crate) async fn half_done(&self, records: Vec<Arc<Record>>) -> Result<(), StoreError> {
        let encoded = records.iter().map(|record| Encoded::new(record, 0)).collect();
        let append = self.write(Call::Append, 0, move |ledger, session, _| {
            ledger.append(&mut session.tx, encoded)?;
            panic!("a fault of ours")
        });
        append.await
    }

    async fn write<T: Send + 'static>(
        &self,
        call: Call,
        bytes: usize,
        work: impl FnOnce(&mut Ledger, &mut Session<'_, '_>, i64) -> Result<T, Refusal> + Send + 'static,
    ) -> Result<T, StoreError> {
        let now_ms = self.writer.now_ms();
        let kind = Kind::Write(Durability::Process);
        self.submit(call, kind, bytes, move |ledger, session| work(ledger, session, now_ms)).await
    }

    async fn submit<T: Send + 'static>(
        &self,
        call: Call,
        kind: Kind,
        bytes: usize,
        work: impl FnOnce(&mut Ledger, &mut Session<'_, '_>) -> Result<T, Refusal> + Send + 'static,
    ) -> Result<T, StoreError> {
        let account = Arc::clone(&self.account);
        let work = move |session: &mut Session<'_, '_>| Ledgers::with(&account, session, work);
        self.writer.submit(call, kind, bytes, work).await
    }
}
