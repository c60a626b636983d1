//! A data directory with something of everything, and what the store answered while it
//! was made.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use bytes::Bytes;
use danube_sidecar_core::record::Fingerprint;
use danube_sidecar_store::{
    Inbox, InboxSettings, LetterFilter, LetterSettings, NewLetter, Position, Store, StoreError,
};

use crate::support::{SETTINGS, record_of, records, until};

const SINKS: [&str; 2] = ["orders", "mails"];
const PARTITION: &str = "/default/orders-part-0";
/// The sink that keeps what is resolved.
const RETAINING: InboxSettings = InboxSettings { retain: Duration::from_secs(3600), ..SETTINGS };
const LETTERS: LetterSettings =
    LetterSettings { max_bytes: 1 << 20, max_age: Duration::from_secs(3600) };
/// Of them the last one is only in the journals.
const ROUNDS: u64 = 4;
const SIZE: usize = 300;

/// What must be there.
#[derive(Default)]
pub(crate) struct Acknowledged {
    /// Waiting records by sink: number → offset.
    waiting: BTreeMap<&'static str, BTreeMap<u64, u64>>,
    retained: BTreeMap<&'static str, u64>,
    letters: BTreeMap<u64, NewLetter>,
    positions: BTreeMap<String, Position>,
    epoch: u64,
    numbers: BTreeMap<String, u64>,
    suspicions: BTreeMap<u128, Bytes>,
}

/// What a store has of it.
#[derive(Debug)]
pub(crate) enum Seen {
    All,
    /// Something could not be read, and an error said so.
    Named(#[expect(dead_code, reason = "shown where a test fails")] StoreError),
    /// Something is not there, or not as it was.
    Missing(String),
}

fn settings(sink: &str) -> InboxSettings {
    if sink == SINKS[1] { RETAINING } else { SETTINGS }
}

fn letter(id: u64) -> NewLetter {
    NewLetter {
        dedup_id: format!("letter-{id}"),
        topic: "/default/orders".to_owned(),
        subscription: Some("sub".to_owned()),
        partition: PARTITION.to_owned(),
        offset: id,
        key: None,
        payload: record_of(PARTITION, id, SIZE).payload,
        attributes: vec![("trace".to_owned(), id.to_string())],
        schema: None,
        class: "REJECTED".to_owned(),
        code: "bad".to_owned(),
        reason: "no total".to_owned(),
        attempt: 1,
        first_failure_ms: 1,
        dead_letter_topic: None,
    }
}

impl Acknowledged {
    /// Fills `dir`: tables of several ages, and three journals with what is newest.
    pub(crate) fn make(dir: &Path) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let mut known = Self::default();
        for round in 0..ROUNDS {
            runtime.block_on(async {
                let store = Store::open(dir).unwrap();
                until("tables are written", || journals(dir).len() == 1).await;
                known.work(&store, round).await;
            });
            if round + 1 < ROUNDS {
                // As if the journal had been full: the next start writes tables of it.
                let next = journals(dir).last_key_value().unwrap().0 + 1;
                fs::write(dir.join(format!("store/{next}.jnl")), []).unwrap();
            }
        }
        split_journal(dir);
        known
    }

    async fn work(&mut self, store: &Store, round: u64) {
        for sink in SINKS {
            let inbox = store.inbox(sink, settings(sink)).await.unwrap();
            for batch in 0..8 {
                let first = (round * 8 + batch) * 5;
                let at = inbox.append(records(first..first + 5, SIZE)).await.unwrap();
                let waiting = self.waiting.entry(sink).or_default();
                waiting.extend((0..5).map(|place| (at.first_seq + place, first + place)));
                let done: Vec<u64> =
                    waiting.keys().copied().filter(|seq| seq % 3 == 0).take(4).collect();
                inbox.resolve(done.clone()).await.unwrap();
                waiting.retain(|seq, _| !done.contains(seq));
                if !settings(sink).retain.is_zero() {
                    *self.retained.entry(sink).or_default() += done.len() as u64;
                }
            }
        }
        let letters = store.letters("orders", LETTERS);
        for id in round * 6..(round + 1) * 6 {
            let kept = letters.keep(letter(id)).await.unwrap();
            self.letters.insert(kept, letter(id));
        }
        self.epoch = store.next_epoch("files").await.unwrap();
        for file in 0..12 {
            let position = Position {
                source_partition: format!("file-{file}"),
                offset: round * 100 + file,
                metadata: Some(format!("{{\"inode\":{round}}}")),
            };
            store
                .commit_positions("files", self.epoch, std::slice::from_ref(&position))
                .await
                .unwrap();
            self.positions.insert(position.source_partition.clone(), position);
        }
        let key = format!("consumer-{round}");
        store.keep_consumer_id(&key, round).await.unwrap();
        self.numbers.insert(key, round);
        let suspect = Fingerprint(u128::from(round) << 64);
        store.keep_suspicion("orders", suspect, Some("crashed".into())).await.unwrap();
        self.suspicions.insert(suspect.0, "crashed".into());
    }

    /// Reads all that there is, past every error, and compares.
    pub(crate) async fn compare(&self, store: Store) -> Seen {
        let mut named = None;
        match self.look(&store, &mut named).await {
            Some(what) => Seen::Missing(what),
            None => named.map_or(Seen::All, Seen::Named),
        }
    }

    /// What is missing and was not named.
    async fn look(&self, store: &Store, named: &mut Option<StoreError>) -> Option<String> {
        for sink in SINKS {
            let opened = store.inbox(sink, settings(sink)).await;
            let Some(inbox) = or_named(opened, named) else { continue };
            if let Some(what) = self.look_into(sink, &inbox, named).await {
                return Some(what);
            }
        }
        let letters = store.letters("orders", LETTERS).list(&LetterFilter::default()).await;
        if let Some(found) = or_named(letters, named) {
            let found = found.into_iter().map(|letter| (letter.id, letter.letter));
            if found.collect::<BTreeMap<_, _>>() != self.letters {
                return Some("dead letters".to_owned());
            }
        }
        let positions = or_named(store.positions("files").await, named);
        if positions.is_some_and(|found| !found.iter().eq(sorted(&self.positions))) {
            return Some("positions".to_owned());
        }
        if or_named(store.epoch("files").await, named).is_some_and(|epoch| epoch != self.epoch) {
            return Some("the epoch".to_owned());
        }
        for (key, number) in &self.numbers {
            let found = or_named(store.consumer_id(key).await, named);
            if found.is_some_and(|found| found != Some(*number)) {
                return Some(format!("the consumer id {key}"));
            }
        }
        let suspicions = or_named(store.suspicions("orders").await, named)?;
        let found =
            suspicions.into_iter().map(|(fingerprint, suspicion)| (fingerprint.0, suspicion));
        (found.collect::<BTreeMap<_, _>>() != self.suspicions).then(|| "suspicions".to_owned())
    }

    async fn look_into(
        &self,
        sink: &str,
        inbox: &Inbox,
        named: &mut Option<StoreError>,
    ) -> Option<String> {
        let expected = &self.waiting[sink];
        let (mut found, mut after, mut trouble) = (BTreeMap::new(), 0, false);
        loop {
            let mut read = inbox.read(after, 7, usize::MAX).await;
            for _ in 0..5 {
                if read.is_err() {
                    trouble = true;
                    or_named(read, named);
                    read = inbox.read(after, 7, usize::MAX).await;
                }
            }
            let Some(entries) = or_named(read, named) else { break };
            let Some(last) = entries.last() else { break };
            after = last.seq;
            for entry in entries {
                let offset = entry.record.identity.offset;
                if entry.record != record_of(PARTITION, offset, SIZE) {
                    return Some(format!("record {} of {sink} is another one", entry.seq));
                }
                found.insert(entry.seq, offset);
            }
        }
        let alien = found.iter().find(|(seq, offset)| expected.get(*seq) != Some(*offset));
        if let Some((seq, _)) = alien {
            return Some(format!("record {seq} of {sink} came back"));
        }
        if !trouble && found != *expected {
            let missing = expected.keys().find(|seq| !found.contains_key(seq));
            return Some(format!("record {missing:?} of {sink}"));
        }
        let usage = inbox.usage();
        let retained = self.retained.get(sink).copied().unwrap_or_default();
        let counted = (usage.records, usage.retained_records);
        (counted != (expected.len() as u64, retained)).then(|| format!("{usage:?} of {sink}"))
    }
}

fn sorted(positions: &BTreeMap<String, Position>) -> impl Iterator<Item = &Position> {
    positions.values()
}

fn or_named<T>(read: Result<T, StoreError>, named: &mut Option<StoreError>) -> Option<T> {
    match read {
        Ok(found) => Some(found),
        Err(error) => {
            named.get_or_insert(error);
            None
        }
    }
}

fn journals(dir: &Path) -> BTreeMap<u64, PathBuf> {
    let entries = fs::read_dir(dir.join("store")).unwrap();
    let number = |path: PathBuf| {
        let number = path.file_name()?.to_str()?.strip_suffix(".jnl")?.parse().ok()?;
        Some((number, path))
    };
    entries.filter_map(|entry| number(entry.unwrap().path())).collect()
}

/// Cuts the last journal, between commits, into three, as if each had been full.
fn split_journal(dir: &Path) {
    let (number, path) = journals(dir).pop_last().unwrap();
    let bytes = fs::read(&path).unwrap();
    let length = bytes.iter().rposition(|byte| *byte != 0).unwrap() + 1;
    let ends = bytes[..length].windows(4).enumerate().filter(|(_, window)| *window == b"FJL\x03");
    let ends: Vec<usize> = ends.map(|(at, _)| at + 4).collect();
    let (one, two) = (ends[ends.len() / 3], ends[ends.len() * 2 / 3]);
    for (place, part) in [(0, &bytes[..one]), (1, &bytes[one..two]), (2, &bytes[two..length])] {
        let journal = format!("{}.jnl", number + place);
        fs::write(dir.join("store").join(&journal), part).unwrap();
        let spare = dir.join("store.journals").join(&journal);
        _ = fs::remove_file(&spare);
        fs::hard_link(dir.join("store").join(&journal), spare).unwrap();
    }
}
