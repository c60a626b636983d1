//! What a name leaves behind: another one takes it over, or it is thrown away.
//!
//! Only for names that nobody serves. Both go on where they were when the process died
//! amid them.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;

use crate::{
    InboxSettings, LetterSettings, Store, StoreError,
    backend::{Failure, Space},
    commit::{Refusal, Session},
    faults::Call,
    inbox::{Account, Ledgers, Left},
    keys::{Key, Table},
    letters::{Place, Shelf},
    positions,
    transaction::Transaction,
};

/// What changed hands, or went.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Estate {
    /// Records that waited.
    pub records: u64,
    /// Dead letters.
    pub letters: u64,
    /// Suspicions.
    pub suspicions: u64,
}

/// How much of a name's estate goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Discarded {
    /// The inbox only: its connector is there, and has none any more.
    Inbox,
    /// Everything: records, dead letters, suspicions.
    Everything,
}

impl Store {
    /// Gives the inbox, the dead letters and the suspicions of `from` to `to`, in their
    /// order. Resolved records that were kept for a replay go.
    ///
    /// # Errors
    /// [`StoreError::BothHaveRecords`] when records of both wait: which come first is
    /// not known. Otherwise when the database fails; the same call then goes on.
    pub async fn adopt(&self, from: &str, to: &str) -> Result<Estate, StoreError> {
        let (from, to): (Arc<str>, Arc<str>) = (from.into(), to.into());
        let mut estate = Estate::default();
        loop {
            let (from, to) = (account(&from), account(&to));
            let step = self
                .writer
                .write(Call::Adopt, move |session| adopt_records(session, &from, &to))
                .await?;
            estate.records += step.records;
            if step.is_last {
                break;
            }
        }
        loop {
            let (from, to) = (place(&from), place(&to));
            let moved = self.writer.write(Call::Adopt, move |session| {
                Shelf::with(&from, session, |from, session| {
                    Shelf::with(&to, session, |to, session| from.leave(&mut session.tx, Some(to)))
                })
            });
            match moved.await? {
                0 => break,
                moved => estate.letters += moved,
            }
        }
        let adopted = self.writer.write(Call::Adopt, move |session| {
            let moved = leave_suspicions(&mut session.tx, &from, Some(&to))?;
            session.tx.delete(Space::State, mark(&to));
            Ok(moved)
        });
        estate.suspicions = adopted.await?;
        Ok(estate)
    }

    /// Throws away what `name` left behind; not its epochs, which must grow.
    ///
    /// # Errors
    /// When the database fails; the same call then goes on.
    pub async fn discard(&self, name: &str, what: Discarded) -> Result<Estate, StoreError> {
        let name: Arc<str> = name.into();
        let mut estate = Estate::default();
        loop {
            let of = account(&name);
            let step = self.writer.write(Call::Discard, move |session| {
                Ledgers::with(&of, session, |of, session| of.leave(&mut session.tx, None))
            });
            let step = step.await?;
            estate.records += step.records;
            if step.is_last {
                break;
            }
        }
        if what == Discarded::Inbox {
            return Ok(estate);
        }
        loop {
            let of = place(&name);
            let gone = self.writer.write(Call::Discard, move |session| {
                Shelf::with(&of, session, |of, session| of.leave(&mut session.tx, None))
            });
            match gone.await? {
                0 => break,
                gone => estate.letters += gone,
            }
        }
        let gone = self.writer.write(Call::Discard, move |session| {
            Ok(leave_suspicions(&mut session.tx, &name, None)?)
        });
        estate.suspicions = gone.await?;
        Ok(estate)
    }

    /// Sees to it that the next epoch of `to` is above all of `from`.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn adopt_epoch(&self, from: &str, to: &str) -> Result<(), StoreError> {
        let (from, to) = (from.to_owned(), to.to_owned());
        let raised = self.writer.write(Call::Adopt, move |session| {
            Ok(positions::raise_epoch(&mut session.tx, &from, &to)?)
        });
        raised.await
    }
}

fn adopt_records(
    session: &mut Session<'_, '_>,
    from: &Arc<Account>,
    to: &Arc<Account>,
) -> Result<Left, Refusal> {
    let begun = session.tx.value(Space::State, mark(to.connector()))?;
    let begun = begun.is_some_and(|begun| begun == from.connector().as_bytes());
    Ledgers::with(from, session, |from, session| {
        Ledgers::with(to, session, |to, session| {
            let (waiting, own) = (from.usage().records, to.usage().records);
            // Once begun, what waits there is what has come from here.
            if !begun && waiting > 0 && own > 0 {
                return Err(StoreError::BothHaveRecords {
                    from: from.account().connector().to_owned(),
                    waiting,
                    to: to.account().connector().to_owned(),
                    own,
                }
                .into());
            }
            let left = from.leave(&mut session.tx, Some(to))?;
            let begun_by = from.account().connector().as_bytes().to_vec();
            session.tx.put(Space::State, mark(to.account().connector()), begun_by);
            Ok(left)
        })
    })
}

/// Says whose estate a connector is about to take over.
fn mark(to: &str) -> Bytes {
    Key::of(Table::Adopting).text(to).done()
}

fn leave_suspicions(
    tx: &mut Transaction<'_>,
    from: &str,
    to: Option<&str>,
) -> Result<u64, Failure> {
    let prefix = Key::of(Table::Suspicions).text(from);
    let kept: Vec<(Bytes, Bytes)> = tx
        .range(Space::State, &prefix.clone().done(), &prefix.clone().end())
        .collect::<Result<_, _>>()?;
    let count = kept.len() as u64;
    for (key, suspicion) in kept {
        if let Some(to) = to {
            let mut heirs = Key::of(Table::Suspicions).text(to).done().to_vec();
            heirs.extend_from_slice(&key[prefix.len()..]);
            tx.put(Space::State, heirs.into(), suspicion);
        }
        tx.delete(Space::State, key);
    }
    Ok(count)
}

/// Their own settings follow when a connector opens its inbox or its letters.
fn account(connector: &Arc<str>) -> Arc<Account> {
    let settings = InboxSettings { fsync: false, max_bytes: 0, retain: Duration::ZERO };
    Arc::new(Account::new(connector, settings))
}

fn place(connector: &Arc<str>) -> Arc<Place> {
    let settings = LetterSettings { max_bytes: u64::MAX, max_age: Duration::MAX };
    Arc::new(Place::new(connector, settings))
}
