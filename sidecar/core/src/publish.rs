//! The source side: numbering, demand, order per lane, and how far the
//! positions may move.
//!
//! [`accept`](Publish::accept) what the connector sends, publish what
//! [`poll_publish`](Publish::poll_publish) gives and answer each with
//! [`confirmed`](Publish::confirmed) or [`rejected`](Publish::rejected), make
//! durable what [`poll_commit`](Publish::poll_commit) gives and answer with
//! [`persisted`](Publish::persisted), and tell the connector what
//! [`poll_event`](Publish::poll_event) gives. Poll all three after every call
//! until they are empty.

mod lanes;

use std::sync::Arc;

use self::lanes::{LaneName, Lanes};
pub use crate::frontier::Position;
use crate::{frontier::Frontier, window::Limits};

/// The rules of one source session.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Most that may be accepted and not yet committed.
    pub window: Limits,
    /// Most publishes in flight.
    pub max_in_flight: usize,
    /// Larger records come out of [`Publish::poll_publish`] as `oversize`.
    pub max_record_bytes: usize,
}

/// A record that the connector sent.
#[derive(Clone, Debug)]
pub struct Accepted<M> {
    /// The topic to publish to.
    pub topic: Arc<str>,
    /// Routing key.
    pub key: Option<Arc<str>>,
    /// Where it stands in the external system.
    pub position: Option<Position>,
    /// Its encoded size.
    pub bytes: usize,
    /// What is to be published.
    pub message: M,
}

/// A record to publish now: the next one of its lane.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assignment<M> {
    /// Its number in the session.
    pub number: u64,
    /// The topic to publish to.
    pub topic: Arc<str>,
    /// Routing key.
    pub key: Option<Arc<str>>,
    /// It exceeds `max_record_bytes`: reject it instead of publishing it.
    pub oversize: bool,
    /// What is to be published.
    pub message: M,
}

/// What is to be made durable next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Commit {
    /// Everything up to this number is confirmed.
    pub number: u64,
    /// The latest position of each source partition that moved; often empty.
    pub positions: Vec<Position>,
}

/// What the connector is to be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// Cumulative: how much may have been sent since the session opened.
    Demand {
        /// Records.
        records: u64,
        /// Bytes.
        bytes: u64,
    },
    /// Cumulative: everything up to here is confirmed and durable.
    Committed {
        /// The number of the last such record.
        number: u64,
    },
}

/// Records that break the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Violation {
    /// A frame without records.
    #[error("a records frame is empty: send at least one record in each")]
    Empty,
    /// A hole or an overlap in the numbers.
    #[error("records are numbered from {got}, expected {expected}: number them by one, from 1")]
    Misnumbered {
        /// The next number.
        expected: u64,
        /// What the frame said.
        got: u64,
    },
    /// More than was asked for.
    #[error(
        "record {number} exceeds the demand of {records} records and {bytes} bytes: wait for \
         demand before sending"
    )]
    DemandExceeded {
        /// The first record that is too much.
        number: u64,
        /// The demand, in records.
        records: u64,
        /// The demand, in bytes.
        bytes: u64,
    },
}

/// All records of one source session, from their acceptance to their commit.
#[derive(Debug)]
pub struct Publish<M> {
    settings: Settings,
    lanes: Lanes<Accepted<M>>,
    frontier: Frontier,
    accepted_bytes: u64,
    /// The commit that is being made durable.
    committing: Option<Mark>,
    committed: Mark,
    told_committed: u64,
    told_demand: Mark,
}

/// A point in the session: records and bytes up to it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Mark {
    records: u64,
    bytes: u64,
}

impl<M> Publish<M> {
    /// An empty session.
    pub fn new(settings: Settings) -> Self {
        Self {
            settings,
            lanes: Lanes::default(),
            frontier: Frontier::default(),
            accepted_bytes: 0,
            committing: None,
            committed: Mark::default(),
            told_committed: 0,
            told_demand: Mark::default(),
        }
    }

    /// The rules in force.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Takes a frame of records, or nothing of it.
    ///
    /// # Errors
    /// [`Violation`] when the frame breaks the protocol.
    pub fn accept(
        &mut self,
        first_number: u64,
        records: Vec<Accepted<M>>,
    ) -> Result<(), Violation> {
        self.check(first_number, &records)?;
        for mut record in records {
            self.accepted_bytes += record.bytes as u64;
            let lane = LaneName::of(&record);
            let number = self.frontier.push(record.bytes, record.position.take());
            self.lanes.push(lane, number, record);
        }
        Ok(())
    }

    /// The next record to publish; ask again until there is none.
    pub fn poll_publish(&mut self) -> Option<Assignment<M>> {
        if self.lanes.in_flight() >= self.settings.max_in_flight.max(1) {
            return None;
        }
        let (number, record) = self.lanes.pop()?;
        Some(Assignment {
            number,
            topic: record.topic,
            key: record.key,
            oversize: record.bytes > self.settings.max_record_bytes,
            message: record.message,
        })
    }

    /// The broker confirmed the record.
    pub fn confirmed(&mut self, number: u64) {
        if self.lanes.done(number) {
            self.frontier.confirm(number);
        }
    }

    /// The record can never be published, and that is settled (its dead letter is
    /// confirmed, or there are none): for everything behind it this is the same as
    /// a confirmation.
    pub fn rejected(&mut self, number: u64) {
        self.confirmed(number);
    }

    /// What is to be made durable; none while the last one is not
    /// [`persisted`](Self::persisted).
    pub fn poll_commit(&mut self) -> Option<Commit> {
        let reached = Mark { records: self.frontier.reached(), bytes: self.frontier.bytes() };
        if self.committing.is_some() || reached == self.committed {
            return None;
        }
        self.committing = Some(reached);
        Some(Commit { number: reached.records, positions: self.frontier.take_positions() })
    }

    /// The commit up to `number` is durable.
    pub fn persisted(&mut self, number: u64) {
        if let Some(mark) = self.committing.take_if(|mark| mark.records == number) {
            self.committed = mark;
        }
    }

    /// The next event; ask again until there is none.
    pub fn poll_event(&mut self) -> Option<Event> {
        let number = self.committed.records;
        if number > self.told_committed {
            self.told_committed = number;
            return Some(Event::Committed { number });
        }
        let demand = self.demand();
        if demand == self.told_demand {
            return None;
        }
        self.told_demand = demand;
        Some(Event::Demand { records: demand.records, bytes: demand.bytes })
    }

    /// Whether everything accepted is committed.
    pub fn settled(&self) -> bool {
        self.uncommitted() == 0
    }

    /// Publishes in flight.
    pub fn in_flight(&self) -> usize {
        self.lanes.in_flight()
    }

    /// Records accepted and not yet committed.
    pub fn uncommitted(&self) -> usize {
        (self.frontier.last() - self.committed.records) as usize
    }

    fn demand(&self) -> Mark {
        let Limits { records, bytes } = self.settings.window;
        Mark {
            records: self.committed.records.saturating_add(records as u64),
            bytes: self.committed.bytes.saturating_add(bytes as u64),
        }
    }

    /// The demand that was told may be overshot by one record.
    fn check(&self, first_number: u64, records: &[Accepted<M>]) -> Result<(), Violation> {
        let expected = self.frontier.last() + 1;
        if records.is_empty() {
            return Err(Violation::Empty);
        }
        if first_number != expected {
            return Err(Violation::Misnumbered { expected, got: first_number });
        }
        let Mark { records: most, bytes: most_bytes } = self.told_demand;
        let mut sent = self.accepted_bytes;
        for (number, record) in (expected..).zip(records) {
            if number > most.saturating_add(1) || sent > most_bytes {
                return Err(Violation::DemandExceeded { number, records: most, bytes: most_bytes });
            }
            sent = sent.saturating_add(record.bytes as u64);
        }
        Ok(())
    }
}
