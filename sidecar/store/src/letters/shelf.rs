//! One connector's letters in the database, and what they add up to.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use prost::Message as _;

use super::{Letter, LetterSettings, LettersUsage, NewLetter, encoding};
use crate::{
    StoreError,
    backend::{Failure, Space},
    commit::{Refusal, Session},
    keys::{Key, Table, last_number},
    transaction::Transaction,
};

/// Most letters that go by age in one sweep.
const SWEEP: usize = 1000;
/// Most bytes of letters that leave in one go.
const LEAVING: usize = 4 << 20;

/// Where a connector's letters are, and what others see of them.
pub(crate) struct Place {
    connector: Arc<str>,
    settings: LetterSettings,
    usage: Mutex<LettersUsage>,
}

impl Place {
    pub(crate) fn new(connector: &str, settings: LetterSettings) -> Self {
        Self { connector: connector.into(), settings, usage: Mutex::default() }
    }

    pub(super) fn usage(&self) -> LettersUsage {
        *self.usage.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The shelves that were used since the last failure, by connector.
#[derive(Default)]
pub(crate) struct Shelves(HashMap<Arc<str>, Shelf>);

impl Shelves {
    pub(crate) fn publish(&self) {
        for shelf in self.0.values() {
            *shelf.place.usage.lock().unwrap_or_else(PoisonError::into_inner) = shelf.usage();
        }
    }

    pub(crate) fn need_sweep(&self) -> bool {
        self.0.values().any(|shelf| shelf.totals.letters > 0)
    }

    pub(crate) fn sweep(&mut self, tx: &mut Transaction<'_>, now_ms: i64) -> Result<(), Failure> {
        self.0.values_mut().try_for_each(|shelf| shelf.expire(tx, now_ms))
    }
}

pub(crate) struct Shelf {
    place: Arc<Place>,
    totals: Totals,
}

/// Kept beside the letters, in the same commits.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Totals {
    #[prost(uint64, tag = "1")]
    pub(super) last_id: u64,
    #[prost(uint64, tag = "2")]
    pub(super) letters: u64,
    #[prost(uint64, tag = "3")]
    pub(super) bytes: u64,
    #[prost(uint64, tag = "4")]
    pub(super) evicted: u64,
    /// No letter has a lower id: those before it need not be looked for.
    #[prost(uint64, tag = "5")]
    pub(super) first_id: u64,
}

/// The id of the last letter that was kept, of totals as they are stored.
pub(crate) fn last_id(stored: &[u8]) -> Option<u64> {
    Some(Totals::decode(stored).ok()?.last_id)
}

impl Shelf {
    /// Works on the shelf at `place`, which is read first where it has to be.
    pub(crate) fn with<T>(
        place: &Arc<Place>,
        session: &mut Session<'_, '_>,
        work: impl FnOnce(&mut Self, &mut Session<'_, '_>) -> Result<T, Refusal>,
    ) -> Result<T, Refusal> {
        let mut shelf = match session.memory.letters.0.remove(&place.connector) {
            Some(shelf) => Self { place: Arc::clone(place), ..shelf },
            None => Self::load(place, &session.tx)?,
        };
        let done = work(&mut shelf, session);
        // Whoever asks for letters that never were leaves nothing behind.
        if shelf.totals.last_id > 0 {
            session.memory.letters.0.insert(Arc::clone(&place.connector), shelf);
        }
        done
    }

    fn load(place: &Arc<Place>, tx: &Transaction<'_>) -> Result<Self, Refusal> {
        let key = Key::of(Table::LetterTotals).text(&place.connector).done();
        let totals = match tx.value(Space::State, key)? {
            Some(stored) => Totals::decode(stored).map_err(|_| StoreError::Damaged {
                what: "the totals of the dead letters",
                connector: place.connector.to_string(),
                id: 0,
            })?,
            None => Totals { first_id: 1, ..Totals::default() },
        };
        Ok(Self { place: Arc::clone(place), totals })
    }

    pub(super) fn keep(
        &mut self,
        tx: &mut Transaction<'_>,
        letter: NewLetter,
        now_ms: i64,
    ) -> Result<u64, Failure> {
        self.expire(tx, now_ms)?;
        let known = tx.value(Space::State, self.id_key(&letter.dedup_id))?;
        let known = known.and_then(|id| last_number(&id));
        if let Some(id) = known {
            self.delete(tx, id)?;
        }
        let id = known.unwrap_or(self.totals.last_id + 1);
        self.totals.last_id = self.totals.last_id.max(id);
        tx.put(Space::State, self.id_key(&letter.dedup_id), id.to_be_bytes().to_vec());
        let letter =
            Letter { id, kept_at_ms: now_ms, published: false, replayed_at_ms: None, letter };
        self.put(tx, &letter);
        self.totals.first_id = self.totals.first_id.min(id);
        self.make_room(tx)?;
        self.save(tx);
        Ok(id)
    }

    pub(super) fn change(
        &mut self,
        tx: &mut Transaction<'_>,
        id: u64,
        change: impl FnOnce(&mut Letter),
    ) -> Result<(), Refusal> {
        let Some(mut letter) = self.letter(tx, id)? else { return Ok(()) };
        change(&mut letter);
        self.totals.letters -= 1;
        self.totals.bytes -= tx.value(Space::Letters, self.key(id))?.map_or(0, size);
        self.put(tx, &letter);
        self.save(tx);
        Ok(())
    }

    pub(super) fn letter(&self, tx: &Transaction<'_>, id: u64) -> Result<Option<Letter>, Refusal> {
        match tx.value(Space::Letters, self.key(id))? {
            Some(stored) => Ok(Some(self.decode(id, &stored)?)),
            None => Ok(None),
        }
    }

    /// Letters after `after`, about `max_bytes` of them, and the last one's id.
    pub(super) fn read(
        &self,
        tx: &Transaction<'_>,
        after: u64,
        max_bytes: usize,
    ) -> Result<Option<(Vec<Letter>, u64)>, Refusal> {
        let (mut letters, mut bytes) = (Vec::new(), 0);
        let from = self.key(after.saturating_add(1).max(self.totals.first_id));
        for entry in tx.range(Space::Letters, &from, &self.end()) {
            let (key, stored) = entry?;
            bytes += stored.len();
            letters.push(self.decode(last_number(&key).unwrap_or_default(), &stored)?);
            if bytes >= max_bytes {
                break;
            }
        }
        let last = letters.last().map(|letter| letter.id);
        Ok(last.map(|last| (letters, last)))
    }

    pub(super) fn purge(&mut self, tx: &mut Transaction<'_>, ids: &[u64]) -> Result<u64, Failure> {
        let before = self.totals.letters;
        for id in ids {
            self.delete(tx, *id)?;
        }
        self.save(tx);
        Ok(before - self.totals.letters)
    }

    /// The oldest letters leave: they go to `heir`, where there is one, and are deleted
    /// here. Tells how many; none when all have left.
    pub(crate) fn leave(
        &mut self,
        tx: &mut Transaction<'_>,
        heir: Option<&mut Self>,
    ) -> Result<u64, Refusal> {
        let Some((letters, _)) = self.read(tx, 0, LEAVING)? else { return Ok(0) };
        let ids: Vec<u64> = letters.iter().map(|letter| letter.id).collect();
        if let Some(heir) = heir {
            for letter in letters {
                heir.take_over(tx, letter)?;
            }
            heir.save(tx);
        }
        Ok(self.purge(tx, &ids)?)
    }

    /// As it is, under a number of its own; one that is here already stays as it is.
    fn take_over(&mut self, tx: &mut Transaction<'_>, letter: Letter) -> Result<(), Failure> {
        let id_key = self.id_key(&letter.letter.dedup_id);
        if tx.value(Space::State, id_key.clone())?.is_some() {
            return Ok(());
        }
        let id = self.totals.last_id + 1;
        self.totals.last_id = id;
        tx.put(Space::State, id_key, id.to_be_bytes().to_vec());
        self.put(tx, &Letter { id, ..letter });
        Ok(())
    }

    /// Gives up what is too old, as far as the oldest ids go.
    fn expire(&mut self, tx: &mut Transaction<'_>, now_ms: i64) -> Result<(), Failure> {
        let max_age = i64::try_from(self.place.settings.max_age.as_millis()).unwrap_or(i64::MAX);
        for _ in 0..SWEEP {
            let Some((id, stored)) = self.oldest(tx)? else { break };
            // One that cannot be read is no use to anybody.
            let kept_at_ms = encoding::decode(id, &stored).map_or(i64::MIN, |it| it.kept_at_ms);
            if now_ms.saturating_sub(kept_at_ms) <= max_age {
                break;
            }
            self.evict(tx, id)?;
        }
        Ok(())
    }

    fn make_room(&mut self, tx: &mut Transaction<'_>) -> Result<(), Failure> {
        while self.totals.bytes > self.place.settings.max_bytes {
            let Some((id, _)) = self.oldest(tx)? else { break };
            self.evict(tx, id)?;
        }
        Ok(())
    }

    fn oldest(&mut self, tx: &Transaction<'_>) -> Result<Option<(u64, Bytes)>, Failure> {
        if self.totals.letters == 0 {
            return Ok(None);
        }
        let (from, end) = (self.key(self.totals.first_id), self.end());
        let (key, stored) = match tx.range(Space::Letters, &from, &end).next() {
            Some(Ok(entry)) => entry,
            // Those behind what cannot be read have their turn when it comes to them.
            Some(Err(failure)) => {
                let connector = &*self.place.connector;
                tracing::error!(connector, error = %failure.0, "a dead letter cannot be read");
                let Some(behind) = tx.readable_behind(Space::Letters, &from, &end) else {
                    return Ok(None);
                };
                match tx.range(Space::Letters, &behind, &end).next() {
                    Some(Ok(entry)) => entry,
                    _ => return Ok(None),
                }
            }
            None => return Ok(None),
        };
        let Some(id) = last_number(&key) else { return Ok(None) };
        self.totals.first_id = id;
        Ok(Some((id, stored)))
    }

    fn evict(&mut self, tx: &mut Transaction<'_>, id: u64) -> Result<(), Failure> {
        self.delete(tx, id)?;
        self.totals.evicted += 1;
        self.totals.first_id = self.totals.first_id.max(id + 1);
        self.save(tx);
        Ok(())
    }

    fn put(&mut self, tx: &mut Transaction<'_>, letter: &Letter) {
        let stored = encoding::encode(letter);
        self.totals.letters += 1;
        self.totals.bytes += size(stored.clone());
        tx.put(Space::Letters, self.key(letter.id), stored);
    }

    fn delete(&mut self, tx: &mut Transaction<'_>, id: u64) -> Result<(), Failure> {
        let key = self.key(id);
        let stored = match tx.value(Space::Letters, key.clone()) {
            Ok(Some(stored)) => stored,
            Ok(None) => return Ok(()),
            // It goes, and its bytes are counted until a repair.
            Err(failure) => {
                tracing::error!(id, error = %failure.0, "a dead letter that cannot be read goes");
                tx.delete(Space::Letters, key);
                self.totals.letters = self.totals.letters.saturating_sub(1);
                return Ok(());
            }
        };
        if let Some(letter) = encoding::decode(id, &stored) {
            tx.delete(Space::State, self.id_key(&letter.letter.dedup_id));
        }
        tx.delete(Space::Letters, key);
        self.totals.letters -= 1;
        self.totals.bytes -= size(stored);
        Ok(())
    }

    fn save(&self, tx: &mut Transaction<'_>) {
        let key = Key::of(Table::LetterTotals).text(&self.place.connector).done();
        tx.put(Space::State, key, self.totals.encode_to_vec());
    }

    fn usage(&self) -> LettersUsage {
        let Totals { letters, bytes, evicted, .. } = self.totals;
        LettersUsage { letters, bytes, evicted }
    }

    fn decode(&self, id: u64, stored: &Bytes) -> Result<Letter, StoreError> {
        encoding::decode(id, stored).ok_or_else(|| StoreError::Damaged {
            what: "dead letter",
            connector: self.place.connector.to_string(),
            id,
        })
    }

    fn key(&self, id: u64) -> Bytes {
        Key::new().text(&self.place.connector).number(id).done()
    }

    fn end(&self) -> Bytes {
        Key::new().text(&self.place.connector).end()
    }

    fn id_key(&self, dedup_id: &str) -> Bytes {
        Key::of(Table::LetterIds).text(&self.place.connector).text(dedup_id).done()
    }
}

/// What a shelf holds.
pub(crate) struct Peek {
    pub(crate) letters: u64,
    pub(crate) bytes: u64,
    pub(crate) oldest_ms: Option<i64>,
}

/// What the letters of a connector are, without taking any.
pub(crate) fn peek(tx: &Transaction<'_>, connector: &str) -> Result<Peek, Refusal> {
    let settings = LetterSettings { max_bytes: u64::MAX, max_age: Duration::MAX };
    let mut shelf = Shelf::load(&Arc::new(Place::new(connector, settings)), tx)?;
    let oldest = shelf.oldest(tx)?;
    let oldest = oldest.and_then(|(id, stored)| encoding::decode(id, &stored));
    let Totals { letters, bytes, .. } = shelf.totals;
    Ok(Peek { letters, bytes, oldest_ms: oldest.map(|letter| letter.kept_at_ms) })
}

fn size(stored: Bytes) -> u64 {
    stored.len() as u64
}
