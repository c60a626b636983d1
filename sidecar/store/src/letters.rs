//! Local copies of dead letters: what operators list, show and replay.
//!
//! Bounded by size and age: the oldest make room, and are counted. A full store
//! never blocks anybody.

mod encoding;
mod recount;
mod shelf;

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use danube_sidecar_core::record::SchemaRef;

pub(crate) use self::{
    encoding::decode,
    recount::recount,
    shelf::{Place, Shelf, Shelves, last_id, peek},
};
use crate::{
    Store, StoreError,
    commit::{Refusal, Session},
    faults::Call,
    writer::Writer,
};

/// How much is kept of a connector's dead letters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LetterSettings {
    /// Most bytes, as stored.
    pub max_bytes: u64,
    /// How long a letter is kept at the most.
    pub max_age: Duration,
}

/// A dead letter as its connector's driver makes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewLetter {
    /// Names the record: a letter with the same one is the same letter.
    pub dedup_id: String,
    /// The logical topic the record came from.
    pub topic: String,
    /// The subscription it came from; none for a source's record.
    pub subscription: Option<String>,
    /// The partition's own topic.
    pub partition: String,
    /// Offset within the partition.
    pub offset: u64,
    /// Routing key.
    pub key: Option<String>,
    /// The message, in full.
    pub payload: Bytes,
    /// As published, `x-*` included.
    pub attributes: Vec<(String, String)>,
    /// The schema of the payload.
    pub schema: Option<SchemaRef>,
    /// The failure's class (`x-failure-class`).
    pub class: String,
    /// The failure's code, as the connector gave it.
    pub code: String,
    /// What happened.
    pub reason: String,
    /// How often the record was offered.
    pub attempt: u32,
    /// When it failed first, in milliseconds since the Unix epoch.
    pub first_failure_ms: i64,
    /// Where the letter is published; none where dead letters go nowhere.
    pub dead_letter_topic: Option<String>,
}

/// A dead letter that is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Letter {
    /// Its number among the connector's letters, from 1; never used again.
    pub id: u64,
    /// When it was kept, in milliseconds since the Unix epoch.
    pub kept_at_ms: i64,
    /// Whether the dead-letter topic has it.
    pub published: bool,
    /// When it was replayed last.
    pub replayed_at_ms: Option<i64>,
    /// The letter.
    pub letter: NewLetter,
}

/// Which letters are meant; the default means all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LetterFilter {
    /// Of this class.
    pub class: Option<String>,
    /// With this code.
    pub code: Option<String>,
    /// With this routing key.
    pub key: Option<String>,
    /// With a greater id.
    pub after_id: Option<u64>,
    /// At most so many, the oldest.
    pub limit: Option<usize>,
    /// Only those that were never replayed.
    pub not_replayed: bool,
}

impl LetterFilter {
    fn wants(&self, letter: &Letter) -> bool {
        let is = |wanted: &Option<String>, is: Option<&String>| {
            wanted.is_none() || wanted.as_ref() == is
        };
        is(&self.class, Some(&letter.letter.class))
            && is(&self.code, Some(&letter.letter.code))
            && is(&self.key, letter.letter.key.as_ref())
            && !(self.not_replayed && letter.replayed_at_ms.is_some())
    }
}

/// What a connector's letters add up to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LettersUsage {
    /// How many are kept.
    pub letters: u64,
    /// Their bytes, as stored.
    pub bytes: u64,
    /// How many were given up for want of room or by age, since the first.
    pub evicted: u64,
}

/// Most bytes that one listing step reads, so that others get their turn.
const STEP_BYTES: usize = 4 << 20;

/// The letters of one connector. Cheap to clone.
#[derive(Clone)]
pub struct Letters {
    writer: Arc<Writer>,
    place: Arc<Place>,
}

impl Store {
    /// The local copies of `connector`'s dead letters.
    pub fn letters(&self, connector: &str, settings: LetterSettings) -> Letters {
        let place = Arc::new(Place::new(connector, settings));
        Letters { writer: Arc::clone(&self.writer), place }
    }
}

impl Letters {
    /// Keeps a letter and returns its id, once it survives a loss of power. The
    /// same `dedup_id` again is the same letter: replaced, and to be published
    /// again.
    ///
    /// # Errors
    /// When the database fails; never for want of room within `max_bytes`.
    pub async fn keep(&self, letter: NewLetter) -> Result<u64, StoreError> {
        let now_ms = self.writer.now_ms();
        self.write(Call::KeepLetter, move |shelf, session| {
            Ok(shelf.keep(&mut session.tx, letter, now_ms)?)
        })
        .await
    }

    /// Marks a letter as published. One that is gone stays gone.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn published(&self, id: u64) -> Result<(), StoreError> {
        self.change(id, |letter| letter.published = true).await
    }

    /// Marks a letter as replayed now, so that a replay can be resumed.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn replayed(&self, id: u64) -> Result<(), StoreError> {
        let now_ms = self.writer.now_ms();
        self.change(id, move |letter| letter.replayed_at_ms = Some(now_ms)).await
    }

    /// The letters that `filter` means, oldest first.
    ///
    /// # Errors
    /// When the database fails, or a letter cannot be read.
    pub async fn list(&self, filter: &LetterFilter) -> Result<Vec<Letter>, StoreError> {
        let mut found = Vec::new();
        let mut after = filter.after_id.unwrap_or(0);
        let limit = filter.limit.unwrap_or(usize::MAX);
        while found.len() < limit {
            let step = self.read(move |shelf, session| shelf.read(&session.tx, after, STEP_BYTES));
            let Some((letters, last)) = step.await? else { break };
            let room = limit - found.len();
            found.extend(letters.into_iter().filter(|letter| filter.wants(letter)).take(room));
            after = last;
        }
        Ok(found)
    }

    /// One letter.
    ///
    /// # Errors
    /// When the database fails, or the letter cannot be read.
    pub async fn show(&self, id: u64) -> Result<Option<Letter>, StoreError> {
        self.read(move |shelf, session| shelf.letter(&session.tx, id)).await
    }

    /// Deletes the letters that `filter` means and tells how many there were.
    /// They do not count as evicted.
    ///
    /// # Errors
    /// When the database fails, or a letter cannot be read.
    pub async fn purge(&self, filter: &LetterFilter) -> Result<u64, StoreError> {
        let mut after = filter.after_id.unwrap_or(0);
        let mut left = filter.limit.unwrap_or(usize::MAX);
        let mut purged = 0;
        while left > 0 {
            // Step by step: only one step's payloads are in memory.
            let step = self.read(move |shelf, session| shelf.read(&session.tx, after, STEP_BYTES));
            let Some((letters, last)) = step.await? else { break };
            let wanted = letters.iter().filter(|letter| filter.wants(letter));
            let ids: Vec<u64> = wanted.map(|letter| letter.id).take(left).collect();
            left -= ids.len();
            after = last;
            purged += self
                .write(Call::PurgeLetters, move |shelf, session| {
                    Ok(shelf.purge(&mut session.tx, &ids)?)
                })
                .await?;
        }
        Ok(purged)
    }

    /// What there is, as of the last change. Nothing until the first call of
    /// another method.
    pub fn usage(&self) -> LettersUsage {
        self.place.usage()
    }

    async fn change(
        &self,
        id: u64,
        change: impl FnOnce(&mut Letter) + Send + 'static,
    ) -> Result<(), StoreError> {
        self.write(Call::ChangeLetter, move |shelf, session| {
            shelf.change(&mut session.tx, id, change)
        })
        .await
    }

    async fn write<T: Send + 'static>(
        &self,
        call: Call,
        work: impl FnOnce(&mut Shelf, &mut Session<'_, '_>) -> Result<T, Refusal> + Send + 'static,
    ) -> Result<T, StoreError> {
        let place = Arc::clone(&self.place);
        self.writer.write(call, move |session| Shelf::with(&place, session, work)).await
    }

    async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Shelf, &mut Session<'_, '_>) -> Result<T, Refusal> + Send + 'static,
    ) -> Result<T, StoreError> {
        let place = Arc::clone(&self.place);
        self.writer.read(Call::ReadLetters, move |session| Shelf::with(&place, session, work)).await
    }
}
