//! The messages of one topic that some subscription still needs.

use std::{collections::VecDeque, sync::Arc};

use danube_core::proto::StreamMessage;

/// The messages of one topic, by offset: consecutive, the oldest dropped once all
/// subscriptions are past it.
#[derive(Debug, Default)]
pub(crate) struct Log {
    first: u64,
    messages: VecDeque<Arc<StreamMessage>>,
    bytes: usize,
}

impl Log {
    pub(crate) fn append(&mut self, message: Arc<StreamMessage>) {
        self.bytes += message.payload.len();
        self.messages.push_back(message);
    }

    pub(crate) fn message(&self, offset: u64) -> Option<&Arc<StreamMessage>> {
        let index = offset.checked_sub(self.first)?;
        self.messages.get(usize::try_from(index).ok()?)
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
        while self.first < offset {
            let Some(message) = self.messages.pop_front() else { return };
            self.bytes -= message.payload.len();
            self.first += 1;
        }
    }
}
