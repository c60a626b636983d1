//! The inbox: every message is written to the local log, acked to the broker at
//! once, and delivered from the log, for as long as that takes.
//!
//! One append, one read and one write of resolutions are under way at a time; what
//! comes meanwhile goes with the next one.

use std::{
    collections::HashSet,
    sync::Arc,
    time::{Duration, Instant},
};

use danube_sidecar_broker::SubscriptionEvent;
use danube_sidecar_core::{
    dispatch::{Admission, Dispatch},
    hash::FastMap,
    record::{Fingerprint, Record},
};
use danube_sidecar_store::{Entry, Inbox as Log, ReplayFrom, StoreError};
use futures::{FutureExt as _, StreamExt as _, future::BoxFuture, stream::FuturesUnordered};
use tokio::time::sleep;
use tracing::{info, warn};

use super::{
    Arrival, Share, View,
    arriving::Arriving,
    seen::{Seen, Standing},
    subscriptions::Subscriptions,
    unacked::Unacked,
};

/// Most that one read takes from the log.
const READ_RECORDS: usize = 4096;
const READ_BYTES: usize = 4 << 20;

/// Before a write that failed is tried again.
const PAUSE: Duration = Duration::from_millis(500);
/// The same for a log that has no room.
const PAUSE_WHEN_FULL: Duration = Duration::from_secs(2);

/// The log keeps the records.
pub struct Inbox {
    subscriptions: Subscriptions,
    log: Log,
    buffer: Arc<Share>,
    seen: Seen,
    /// What the broker waits for.
    unacked: Unacked,
    /// Messages that are not in the log yet.
    arriving: Arriving,
    /// Most of them that are appended together.
    most: usize,
    /// Log sequences of the records in hand.
    in_hand: FastMap<Fingerprint, u64>,
    /// Everything up to this sequence was taken in hand.
    taken: u64,
    /// Resolved, and not marked so in the log yet.
    resolved: Vec<u64>,
    underway: FuturesUnordered<BoxFuture<'static, Stored>>,
    appending: bool,
    reading: bool,
    marking: bool,
    /// An append failed: some of `arriving` may be in the log.
    in_doubt: bool,
    /// Why nothing is appended at present.
    trouble: Option<String>,
}

/// What the log remembers of each partition.
type Remembered = Vec<(Arc<str>, Vec<Fingerprint>)>;

/// Something that the store was asked for, done or failed.
pub enum Stored {
    /// The messages are in the log from this sequence on.
    Appended(Vec<Arc<Record>>, Result<u64, StoreError>),
    /// The unresolved records up to this sequence, or the first of them.
    Read(u64, Result<Vec<Entry>, StoreError>),
    /// What the log remembers, after an append that may or may not have happened.
    Recalled(Result<Remembered, StoreError>),
    /// Resolutions.
    Marked(Vec<u64>, Result<(), StoreError>),
}

impl Inbox {
    pub(super) fn new(
        subscriptions: Subscriptions,
        log: Log,
        seen: Vec<(Arc<str>, Vec<Fingerprint>)>,
        buffer: Arc<Share>,
    ) -> Self {
        Self {
            subscriptions,
            log,
            buffer,
            seen: Seen::new(seen),
            unacked: Unacked::default(),
            arriving: Arriving::default(),
            most: usize::MAX,
            in_hand: FastMap::default(),
            taken: 0,
            resolved: Vec::new(),
            underway: FuturesUnordered::new(),
            appending: false,
            reading: false,
            marking: false,
            in_doubt: false,
            trouble: None,
        }
    }

    pub(super) async fn next(&mut self) -> Arrival {
        tokio::select! {
            Some(stored) = self.underway.next() => Arrival::Stored(stored),
            event = self.subscriptions.next() => Arrival::Event(event),
        }
    }

    pub(super) fn next_ready(&mut self) -> Option<Arrival> {
        if let Some(Some(stored)) = self.underway.next().now_or_never() {
            return Some(Arrival::Stored(stored));
        }
        self.subscriptions.next_ready().map(Arrival::Event)
    }

    pub(super) fn arrived(&mut self, now: Instant, arrival: Arrival, dispatch: &mut Dispatch) {
        match arrival {
            Arrival::Event(SubscriptionEvent::Delivered(record)) => self.delivered(record),
            Arrival::Event(SubscriptionEvent::Attached { partition }) => {
                self.unacked.attached(&partition);
            }
            Arrival::Event(_) => {}
            Arrival::Stored(Stored::Appended(records, appended)) => {
                self.appending = false;
                match appended {
                    Ok(first) => self.appended(now, records, first, dispatch),
                    Err(error) => self.append_failed(records, &error),
                }
            }
            Arrival::Stored(Stored::Recalled(recalled)) => {
                self.appending = false;
                // One that failed is repeated with the next turn.
                if let Ok(remembered) = recalled {
                    self.recalled(remembered);
                }
            }
            Arrival::Stored(Stored::Read(tail, read)) => {
                self.reading = false;
                // One that failed is repeated with the next turn.
                if let Ok(entries) = read {
                    self.read(now, entries, tail, dispatch);
                }
            }
            Arrival::Stored(Stored::Marked(resolved, marked)) => {
                self.marking = false;
                if marked.is_err() {
                    self.resolved.extend(resolved);
                }
            }
        }
    }

    fn delivered(&mut self, record: Arc<Record>) {
        let fingerprint = record.identity.fingerprint();
        match self.seen.standing(fingerprint) {
            Some(Standing::Logged) => {
                self.subscriptions.ack(&record.identity.partition, record.identity.offset);
            }
            Some(Standing::Arriving) => _ = self.unacked.delivered(&record.identity, fingerprint),
            None => {
                self.seen.arriving(fingerprint);
                self.unacked.delivered(&record.identity, fingerprint);
                self.arriving.push(record);
            }
        }
    }

    fn appended(
        &mut self,
        now: Instant,
        records: Vec<Arc<Record>>,
        first: u64,
        dispatch: &mut Dispatch,
    ) {
        self.most = usize::MAX;
        self.takes_again();
        for record in &records {
            self.logged(record);
        }
        // What cannot be taken in hand now is read from the log later.
        let is_next = self.taken + 1 == first && !self.reading;
        if !is_next || self.buffer.left(dispatch.held()) == 0 {
            return;
        }
        for (sequence, record) in (first..).zip(records) {
            self.take(now, sequence, record, false, dispatch);
        }
    }

    /// A message is in the log, so the broker may forget it.
    fn logged(&mut self, record: &Record) {
        let (identity, fingerprint) = (&record.identity, record.identity.fingerprint());
        self.seen.logged(&identity.partition, fingerprint);
        if self.unacked.resolved(&identity.partition, identity.offset, fingerprint) {
            self.subscriptions.ack(&identity.partition, identity.offset);
        }
    }

    /// What is in the log after all need not be appended again.
    fn recalled(&mut self, remembered: Vec<(Arc<str>, Vec<Fingerprint>)>) {
        self.in_doubt = false;
        let logged: HashSet<Fingerprint> =
            remembered.into_iter().flat_map(|(_, fingerprints)| fingerprints).collect();
        let is_logged = |record: &Arc<Record>| logged.contains(&record.identity.fingerprint());
        for record in self.arriving.take_logged(is_logged) {
            self.logged(&record);
        }
        if self.arriving.is_empty() {
            // Nothing is left to be appended; what comes next shows how the disk is.
            self.takes_again();
        }
    }

    fn takes_again(&mut self) {
        if self.trouble.take().is_some() {
            info!("the inbox takes records again");
        }
    }

    fn append_failed(&mut self, records: Vec<Arc<Record>>, error: &StoreError) {
        if error.is_full() {
            self.most = (records.len() / 2).max(1);
        }
        // They stay the first ones: the log keeps the broker's order.
        self.arriving.put_back(records);
        self.in_doubt = !error.is_full();
        let trouble = error.to_string();
        if self.trouble.as_ref() != Some(&trouble) {
            warn!(error = trouble, "the inbox takes no records: nothing is acked meanwhile");
            self.trouble = Some(trouble);
        }
    }

    fn read(&mut self, now: Instant, entries: Vec<Entry>, tail: u64, dispatch: &mut Dispatch) {
        if entries.is_empty() {
            self.taken = tail;
        }
        for entry in entries {
            self.take(now, entry.seq, Arc::new(entry.record), entry.replayed, dispatch);
        }
    }

    /// Takes a record of the log in hand.
    fn take(
        &mut self,
        now: Instant,
        sequence: u64,
        record: Arc<Record>,
        replayed: bool,
        dispatch: &mut Dispatch,
    ) {
        self.taken = sequence;
        let fingerprint = record.identity.fingerprint();
        let admission = match replayed {
            true => dispatch.admit_again(now, record),
            false => dispatch.admit_known(now, record, fingerprint),
        };
        match admission {
            Admission::Taken => _ = self.in_hand.insert(fingerprint, sequence),
            // Its twin is in hand, or done with.
            Admission::InHand | Admission::Resolved => self.resolved.push(sequence),
        }
    }

    pub(super) fn resolved(&mut self, fingerprint: Fingerprint) {
        self.resolved.extend(self.in_hand.remove(&fingerprint));
    }

    pub(super) fn turn(&mut self, dispatch: &Dispatch) {
        self.mark();
        self.append();
        self.read_on(dispatch);
        let crowded = self.arriving.bytes() > self.buffer.size();
        self.subscriptions.want_attached(self.trouble.is_none() && !crowded);
    }

    fn mark(&mut self) {
        if self.marking || self.resolved.is_empty() {
            return;
        }
        self.marking = true;
        let (log, resolved) = (self.log.clone(), std::mem::take(&mut self.resolved));
        self.underway.push(Box::pin(async move {
            let marked = log.resolve(resolved.clone()).await;
            pause_after(&marked).await;
            Stored::Marked(resolved, marked)
        }));
    }

    fn append(&mut self) {
        if self.appending || self.arriving.is_empty() {
            return;
        }
        self.appending = true;
        if self.in_doubt {
            return self.recall();
        }
        // What the log has room for; after it had none for some, half of those.
        let usage = self.log.usage();
        let room = usage.max_bytes.saturating_sub(usage.bytes);
        let (log, records) = (self.log.clone(), self.arriving.take(self.most, room));
        self.underway.push(Box::pin(async move {
            let appended = log.append(records.clone()).await.map(|at| at.first_seq);
            pause_after(&appended).await;
            Stored::Appended(records, appended)
        }));
    }

    fn recall(&mut self) {
        let log = self.log.clone();
        self.underway.push(Box::pin(async move {
            let recalled = log.seen().await;
            pause_after(&recalled).await;
            Stored::Recalled(recalled)
        }));
    }

    fn read_on(&mut self, dispatch: &Dispatch) {
        let (left, tail) = (self.buffer.left(dispatch.held()), self.log.usage().last_seq);
        if self.reading || self.taken >= tail || left == 0 {
            return;
        }
        self.reading = true;
        let (log, after) = (self.log.clone(), self.taken);
        self.underway.push(Box::pin(async move {
            let read = log.read(after, READ_RECORDS, left.min(READ_BYTES)).await;
            pause_after(&read).await;
            Stored::Read(tail, read)
        }));
    }

    pub(super) fn takes_nothing(&self) -> bool {
        self.trouble.is_some()
    }

    pub(super) fn may_offer(&self) -> bool {
        !self.marking && self.resolved.is_empty()
    }

    pub(super) fn is_settled(&self) -> bool {
        self.may_offer() && self.arriving.is_empty() && !self.appending
    }

    pub(super) fn is_empty(&self) -> bool {
        self.log.usage().records == 0
    }

    pub(super) fn replay(&self, from: ReplayFrom) -> BoxFuture<'static, Result<u64, StoreError>> {
        let log = self.log.clone();
        Box::pin(async move { log.replay(from).await })
    }

    pub(super) fn view(&self) -> View {
        View {
            subscriptions: self.subscriptions.views(),
            gaps: self.subscriptions.gaps(),
            detached: !self.subscriptions.wants_attached(),
            overflowed: self.arriving.bytes() > self.buffer.size(),
            window_exhausted: Vec::new(),
            inbox: Some(self.log.usage()),
            trouble: self.trouble.clone(),
        }
    }

    pub(super) async fn close(self) {
        self.subscriptions.close().await;
    }
}

async fn pause_after<T>(result: &Result<T, StoreError>) {
    match result {
        Ok(_) => {}
        Err(error) if error.is_full() => sleep(PAUSE_WHEN_FULL).await,
        Err(_) => sleep(PAUSE).await,
    }
}
