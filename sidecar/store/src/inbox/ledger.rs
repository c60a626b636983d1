//! One connector's inbox in the database, and what it adds up to.

mod leaving;
mod reading;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use prost::Message as _;

use super::{
    Entry, InboxSettings, InboxUsage, Remembered, ReplayFrom,
    encoding::{self, Encoded},
    ledgers::Account,
    seen::Seen,
    stored::{Keys, Mark},
    totals::Totals,
    unreadable::Unreadable,
};
use crate::{
    StoreError,
    backend::{Backend, Failure, Space},
    commit::Refusal,
    consumers::contiguous_key,
    transaction::Transaction,
};

pub(crate) use self::leaving::Left;

/// Most records that are looked at, in one go, for one that waits.
const LOOK: usize = 10_000;
/// Most retained records that go, or come again, in one go.
const SWEEP: usize = 1000;
/// Numbers so far apart are looked up one by one.
const NEAR: u64 = 64;
/// As much deleted is worth asking the database for its room, before it is idle.
const RECLAIM: u64 = 32 << 20;
const ASKS: u32 = 3;

pub(crate) struct Ledger {
    account: Arc<Account>,
    keys: Keys,
    totals: Totals,
    seen: Seen,
    unreadable: Unreadable,
    /// When the first record that waits was appended, where it is known.
    oldest_ms: Option<i64>,
    deleted: Deleted,
}

/// What the database may still hold of what was deleted.
struct Deleted {
    bytes: u64,
    /// Since the last look: an inbox is idle when nothing was.
    lately: bool,
    /// How often an idle inbox asks for its room until nothing is left of it.
    asks: u32,
}

/// What a bounded search for waiting records has found.
pub(super) enum Step {
    Entries(Vec<Entry>),
    NothingUpTo(u64),
}

/// What a replay has moved in one go; `last` is `None` at its end.
pub(super) struct Moved {
    pub(super) records: u64,
    pub(super) last: Option<u64>,
}

impl Ledger {
    pub(super) fn load(account: &Arc<Account>, tx: &Transaction<'_>) -> Result<Self, Refusal> {
        Self::with(account, tx, Seen::load(&account.connector, tx)?)
    }

    fn with(account: &Arc<Account>, tx: &Transaction<'_>, seen: Seen) -> Result<Self, Refusal> {
        let keys = Keys::new(&account.connector);
        let totals = match tx.value(Space::State, keys.totals())? {
            Some(stored) => Totals::decode(stored).map_err(|_| damaged(account, "inbox", 0))?,
            None => Totals { next_seq: 1, head: 1, retained_head: 1, ..Totals::default() },
        };
        let mut ledger = Self {
            account: Arc::clone(account),
            keys,
            totals,
            seen,
            unreadable: Unreadable::default(),
            oldest_ms: None,
            // What an earlier process deleted is given back soon.
            deleted: Deleted { bytes: 0, lately: true, asks: ASKS },
        };
        ledger.look_for_head(tx)?;
        Ok(ledger)
    }

    /// The same ledger for another owner: settings may have changed.
    pub(super) fn of(self, account: &Arc<Account>) -> Self {
        Self { account: Arc::clone(account), ..self }
    }

    pub(crate) fn account(&self) -> &Account {
        &self.account
    }

    pub(super) fn next_seq(&self) -> u64 {
        self.totals.next_seq
    }

    pub(crate) fn usage(&self) -> InboxUsage {
        InboxUsage {
            records: self.totals.records,
            bytes: self.totals.bytes,
            retained_records: self.totals.retained_records,
            retained_bytes: self.totals.retained_bytes,
            max_bytes: self.account.settings.max_bytes,
            last_seq: self.totals.next_seq - 1,
            oldest_ms: self.oldest_ms.filter(|_| self.totals.records > 0),
            unreadable: self.unreadable.count(),
        }
    }

    pub(super) fn append(
        &mut self,
        tx: &mut Transaction<'_>,
        records: Vec<Encoded>,
    ) -> Result<u64, Refusal> {
        let asked = records.iter().map(|record| record.value.len() as u64).sum();
        // However small the inbox is, one record always passes.
        let passes = self.totals.records == 0 && records.len() == 1;
        self.make_room(tx, asked, passes)?;
        let first_seq = self.totals.next_seq;
        if self.totals.records == 0 {
            self.totals.head = first_seq;
            self.oldest_ms = records.first().map(|record| record.appended_ms);
        }
        self.seen.add(tx, &records);
        let mut offsets = BTreeMap::new();
        for record in records {
            let Encoded { value, partition, subscription, offset, .. } = record;
            // One that was overtaken at the broker does not move it back.
            let highest = offsets.entry((subscription, partition)).or_insert(offset);
            *highest = offset.max(*highest);
            self.put(tx, value);
        }
        for ((subscription, partition), offset) in offsets {
            let key = contiguous_key(&subscription, &partition);
            tx.put(Space::State, key, offset.to_be_bytes().to_vec());
        }
        self.save(tx);
        Ok(first_seq)
    }

    /// `seqs` are in order.
    pub(super) fn resolve(
        &mut self,
        tx: &mut Transaction<'_>,
        seqs: &[u64],
        now_ms: i64,
    ) -> Result<(), Failure> {
        self.totals.latest_ms = self.totals.latest_ms.max(now_ms);
        for near in seqs.chunk_by(|one, next| next - one <= NEAR) {
            let (Some(first), Some(last)) = (near.first(), near.last()) else { continue };
            let waiting = self.waiting(tx, *first, *last, near).or_else(|_| {
                // One by one: of those that cannot be read nobody can know the bytes.
                let one = |seq: &u64| self.waiting(tx, *seq, *seq, near).unwrap_or_default();
                Ok::<_, Failure>(near.iter().flat_map(one).collect())
            })?;
            for (seq, bytes, appended_ms) in waiting {
                self.resolve_one(tx, seq, bytes, appended_ms.unwrap_or(now_ms));
            }
        }
        if seqs.first().is_some_and(|first| *first <= self.totals.head) {
            self.look_for_head(tx)?;
        }
        self.save(tx);
        Ok(())
    }

    fn resolve_one(&mut self, tx: &mut Transaction<'_>, seq: u64, bytes: u64, appended_ms: i64) {
        self.totals.records -= 1;
        self.totals.bytes -= bytes;
        if self.account.settings.retain.is_zero() {
            tx.delete(Space::Records, self.keys.record(seq));
            self.deleted(bytes);
            return;
        }
        let mark = Mark { resolved_ms: self.totals.latest_ms, appended_ms, bytes };
        self.keys.put_mark(tx, seq, mark);
        if self.totals.retained_records == 0 {
            self.totals.retained_head = seq;
        }
        self.totals.retained_head = self.totals.retained_head.min(seq);
        self.totals.retained_records += 1;
        self.totals.retained_bytes += bytes;
    }

    pub(super) fn seen(&self, tx: &Transaction<'_>) -> Result<Vec<Remembered>, Failure> {
        self.seen.all(tx)
    }

    /// Moves retained records after `after`, below `end`, behind what waits.
    pub(super) fn replay(
        &mut self,
        tx: &mut Transaction<'_>,
        from: ReplayFrom,
        after: u64,
        end: u64,
    ) -> Result<Moved, Refusal> {
        let wanted = |seq: u64, mark: &Mark| match from {
            ReplayFrom::Time(from_ms) => mark.appended_ms >= from_ms,
            ReplayFrom::Seq(from_seq) => seq >= from_seq,
        };
        let first = after.saturating_add(1).max(self.totals.retained_head);
        let marks: Vec<_> =
            self.keys.marks(tx, first, end).take(SWEEP).collect::<Result<_, _>>()?;
        let last = marks.last().map(|(seq, _)| *seq);
        let mut records = 0;
        for (seq, mark) in marks.into_iter().filter(|(seq, mark)| wanted(*seq, mark)) {
            let Ok(Some(value)) = tx.value(Space::Records, self.keys.record(seq)) else {
                continue;
            };
            let Some(value) = encoding::replayed(&value) else { continue };
            self.forget_retained(tx, seq, mark);
            if self.totals.records == 0 {
                self.totals.head = self.totals.next_seq;
                self.oldest_ms = Some(mark.appended_ms);
            }
            self.put(tx, value);
            records += 1;
        }
        self.save(tx);
        Ok(Moved { records, last })
    }

    /// Deletes what was retained long enough, some at a time.
    pub(super) fn sweep(&mut self, tx: &mut Transaction<'_>, now_ms: i64) -> Result<(), Failure> {
        if self.totals.retained_records == 0 {
            return Ok(());
        }
        let retain = self.account.settings.retain.as_millis();
        let retain = i64::try_from(retain).unwrap_or(i64::MAX);
        let kept_since = now_ms.max(self.totals.latest_ms).saturating_sub(retain);
        let enough = |_: &Totals, mark: &Mark| mark.resolved_ms <= kept_since;
        self.give_up_retained(tx, enough)
    }

    /// Looks on for the first record that waits, and keeps what it learns.
    pub(super) fn settle(&mut self, tx: &mut Transaction<'_>) -> Result<(), Failure> {
        if self.totals.records > 0 && self.oldest_ms.is_none() {
            self.look_for_head(tx)?;
            self.save(tx);
        }
        Ok(())
    }

    pub(super) fn needs_sweep(&self) -> bool {
        self.totals.retained_records > 0
            || self.deleted.asks > 0
            || (self.totals.records > 0 && self.oldest_ms.is_none())
    }

    /// Gives back the room below everything that is stored: when there is much of
    /// it, or nothing else to do.
    pub(super) fn reclaim(&mut self, backend: &mut dyn Backend) -> Result<(), Failure> {
        let lately = std::mem::take(&mut self.deleted.lately);
        if self.deleted.asks == 0 || (lately && self.deleted.bytes < RECLAIM) {
            return Ok(());
        }
        let Totals { next_seq, head, retained_head, records, retained_records, .. } = self.totals;
        let waiting = if records > 0 { head } else { next_seq };
        let retained = if retained_records > 0 { retained_head } else { next_seq };
        let end = self.keys.record(waiting.min(retained));
        backend.reclaim(Space::Records, &self.keys.record(0), &end)?;
        self.deleted.bytes = 0;
        self.deleted.asks -= 1;
        Ok(())
    }

    fn make_room(
        &mut self,
        tx: &mut Transaction<'_>,
        asked: u64,
        passes: bool,
    ) -> Result<(), Refusal> {
        let max_bytes = self.account.settings.max_bytes;
        let used = self.totals.bytes;
        if used.saturating_add(asked) > max_bytes && !passes {
            let connector = self.account.connector.to_string();
            return Err(StoreError::InboxFull { connector, used, max_bytes, asked }.into());
        }
        let room = max_bytes.saturating_sub(used).saturating_sub(asked);
        Ok(self.give_up_retained(tx, |totals, _| totals.retained_bytes > room)?)
    }

    /// Deletes retained records, in order, as long as `enough` says so.
    fn give_up_retained(
        &mut self,
        tx: &mut Transaction<'_>,
        enough: impl Fn(&Totals, &Mark) -> bool,
    ) -> Result<(), Failure> {
        let before = self.totals.retained_records;
        if before == 0 {
            return Ok(());
        }
        let from = self.totals.retained_head;
        let mut left = self.totals.clone();
        let mut given_up = Vec::new();
        for marked in self.keys.marks(tx, from, left.next_seq).take(SWEEP) {
            let (seq, mark) = marked?;
            left.retained_head = seq;
            if !enough(&left, &mark) {
                break;
            }
            left.retained_bytes = left.retained_bytes.saturating_sub(mark.bytes);
            given_up.push((seq, mark));
        }
        self.totals.retained_head = left.retained_head;
        for (seq, mark) in given_up {
            self.forget_retained(tx, seq, mark);
        }
        if self.totals.retained_records < before {
            self.save(tx);
        }
        Ok(())
    }

    fn forget_retained(&mut self, tx: &mut Transaction<'_>, seq: u64, mark: Mark) {
        self.keys.delete_retained(tx, seq);
        self.totals.retained_records -= 1;
        self.totals.retained_bytes = self.totals.retained_bytes.saturating_sub(mark.bytes);
        self.deleted(mark.bytes);
    }

    fn look_for_head(&mut self, tx: &Transaction<'_>) -> Result<(), Failure> {
        self.oldest_ms = None;
        if self.totals.records == 0 {
            self.totals.head = self.totals.next_seq;
            return Ok(());
        }
        let marked = self.totals.retained_records > 0;
        let records = self.keys.records(tx, self.totals.head, self.totals.next_seq, marked);
        // What cannot be read is told when it is to be.
        for (seq, value, retained) in records.take(LOOK).map_while(Result::ok) {
            self.totals.head = seq;
            if !retained {
                self.oldest_ms = encoding::appended_ms(&value);
                break;
            }
        }
        Ok(())
    }

    fn put(&mut self, tx: &mut Transaction<'_>, value: bytes::Bytes) {
        self.totals.records += 1;
        self.totals.bytes += value.len() as u64;
        tx.put(Space::Records, self.keys.record(self.totals.next_seq), value);
        self.totals.next_seq += 1;
    }

    fn deleted(&mut self, bytes: u64) {
        self.deleted = Deleted { bytes: self.deleted.bytes + bytes, lately: true, asks: ASKS };
    }

    fn save(&self, tx: &mut Transaction<'_>) {
        tx.put(Space::State, self.keys.totals(), self.totals.encode_to_vec());
    }
}

/// What an inbox holds, without opening it.
pub(crate) fn peek(tx: &Transaction<'_>, connector: &str) -> Result<InboxUsage, Refusal> {
    let settings = InboxSettings { fsync: false, max_bytes: 0, retain: Duration::ZERO };
    let account = Arc::new(Account::new(connector, settings));
    let seen = Seen::none(&account.connector);
    Ok(Ledger::with(&account, tx, seen)?.usage())
}

fn damaged(account: &Account, what: &'static str, id: u64) -> StoreError {
    StoreError::Damaged { what, connector: account.connector.to_string(), id }
}
