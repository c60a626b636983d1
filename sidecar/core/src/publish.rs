//! The source side: numbering, demand, order per lane, and how far the
//! positions may move.

use std::{marker::PhantomData, sync::Arc};

pub use crate::frontier::Position;
use crate::window::Limits;

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
    message: PhantomData<M>,
}

impl<M> Publish<M> {
    /// An empty session.
    pub fn new(settings: Settings) -> Self {
        Self { settings, message: PhantomData }
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
        _first_number: u64,
        _records: Vec<Accepted<M>>,
    ) -> Result<(), Violation> {
        Ok(())
    }

    /// The next record to publish; ask again until there is none.
    pub fn poll_publish(&mut self) -> Option<Assignment<M>> {
        None
    }

    /// The broker confirmed the record.
    pub fn confirmed(&mut self, _number: u64) {}

    /// The record can never be published, and that is settled (its dead letter is
    /// confirmed, or there are none).
    pub fn rejected(&mut self, _number: u64) {}

    /// What is to be made durable; none while the last one is not
    /// [`persisted`](Self::persisted).
    pub fn poll_commit(&mut self) -> Option<Commit> {
        None
    }

    /// The commit up to `number` is durable.
    pub fn persisted(&mut self, _number: u64) {}

    /// The next event; ask again until there is none.
    pub fn poll_event(&mut self) -> Option<Event> {
        None
    }

    /// Whether everything accepted is committed.
    pub fn settled(&self) -> bool {
        true
    }

    /// Publishes in flight.
    pub fn in_flight(&self) -> usize {
        0
    }

    /// Records accepted and not yet committed.
    pub fn uncommitted(&self) -> usize {
        0
    }
}
