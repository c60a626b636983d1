//! A partition of a broker that repeats, at every attach, what is not acked.

use std::collections::{BTreeSet, VecDeque};

use danube_sidecar_core::record::Record;

#[derive(Debug, Default)]
pub(crate) struct Partition {
    pub(crate) published: Vec<Record>,
    /// How many of them were ever delivered.
    pub(crate) delivered: usize,
    pub(crate) acked: BTreeSet<u64>,
    /// Acks that a detach still loses.
    pub(crate) sent_acks: Vec<u64>,
    pub(crate) stream: Option<Stream>,
}

/// An attach: what it still has to repeat.
#[derive(Debug)]
pub(crate) struct Stream {
    repeats: VecDeque<u64>,
    drained: bool,
}

/// What a stream has to say next.
#[derive(Debug)]
pub(crate) enum Said {
    Message(u64),
    Drained,
}

impl Partition {
    pub(crate) fn attach(&mut self) {
        let delivered = 0..self.delivered as u64;
        let repeats = delivered.filter(|offset| !self.acked.contains(offset)).collect();
        self.stream = Some(Stream { repeats, drained: false });
    }

    pub(crate) fn detach(&mut self) {
        self.stream = None;
        self.sent_acks.clear();
    }

    pub(crate) fn next(&mut self) -> Option<Said> {
        let stream = self.stream.as_mut()?;
        if let Some(offset) = stream.repeats.pop_front() {
            return Some(Said::Message(offset));
        }
        if !stream.drained {
            stream.drained = true;
            return Some(Said::Drained);
        }
        if self.delivered == self.published.len() {
            return None;
        }
        self.delivered += 1;
        Some(Said::Message(self.delivered as u64 - 1))
    }

    /// Whether what is delivered now is not part of an attach's repeats.
    pub(crate) fn is_steady(&self) -> bool {
        self.stream.as_ref().is_some_and(|stream| stream.drained)
    }

    pub(crate) fn answer_acks(&mut self) {
        self.acked.extend(self.sent_acks.drain(..));
    }
}
