//! The messages of one topic that some subscription still needs.

use std::{collections::VecDeque, io, sync::Arc};

use danube_core::proto::StreamMessage;

use crate::store::Segments;

/// The messages of one topic, by offset: consecutive, the oldest dropped once all
/// subscriptions are past it. All are in memory; with a data directory they are
/// in files as well.
#[derive(Debug, Default)]
pub(crate) struct Log {
    first: u64,
    messages: VecDeque<Arc<StreamMessage>>,
    bytes: usize,
    segments: Option<Segments>,
}

impl Log {
    /// A log with what its files held.
    pub(crate) fn restored(segments: Segments, first: u64, messages: Vec<StreamMessage>) -> Self {
        let bytes = messages.iter().map(|message| message.payload.len()).sum();
        let messages = messages.into_iter().map(Arc::new).collect();
        Self { first, messages, bytes, segments: Some(segments) }
    }

    /// Stores a message under the next offset.
    pub(crate) fn append(&mut self, mut message: StreamMessage) -> io::Result<()> {
        let offset = self.end();
        if let Some(id) = &mut message.msg_id {
            id.topic_offset = offset;
        }
        if let Some(segments) = &mut self.segments {
            segments.append(offset, &message)?;
        }
        self.bytes += message.payload.len();
        self.messages.push_back(Arc::new(message));
        Ok(())
    }

    pub(crate) fn message(&self, offset: u64) -> Option<&Arc<StreamMessage>> {
        let index = offset.checked_sub(self.first)?;
        self.messages.get(usize::try_from(index).ok()?)
    }

    /// The offset of the oldest message.
    pub(crate) fn first(&self) -> u64 {
        self.first
    }

    /// The offset of the next message.
    pub(crate) fn end(&self) -> u64 {
        self.first + self.messages.len() as u64
    }

    /// Payload bytes held.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Drops what is below `offset`.
    pub(crate) fn trim(&mut self, offset: u64) {
        if self.first >= offset {
            return;
        }
        while self.first < offset {
            let Some(message) = self.messages.pop_front() else { break };
            self.bytes -= message.payload.len();
            self.first += 1;
        }
        if let Some(segments) = &mut self.segments {
            segments.trim(self.first);
        }
    }

    /// Writes what is delayed.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        self.segments.as_mut().map_or(Ok(()), Segments::flush)
    }
}
