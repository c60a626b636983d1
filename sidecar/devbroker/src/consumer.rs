//! A consumer of a subscription and the stream it reads.

use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use danube_core::proto::StreamMessage;
use futures::task::AtomicWaker;
use tokio::time::Instant;

/// How long a consumer that has subscribed keeps its place without reading.
const RESERVATION: Duration = Duration::from_secs(10);

/// A consumer, known by name from Subscribe on, attached while its stream is open.
#[derive(Debug)]
pub(crate) struct Consumer {
    pub(crate) id: u64,
    pub(crate) name: String,
    pub(crate) filters: Vec<String>,
    /// What its stream takes next. Bounded by the window, or by a constant where
    /// the topic is not reliable.
    pub(crate) queue: VecDeque<Item>,
    pub(crate) session: Option<Arc<Session>>,
    /// Subscribed or attached, and not detached since: what the health check tells.
    pub(crate) open: bool,
    /// Until when it is expected to attach.
    reserved_until: Option<Instant>,
}

/// What waits in a consumer's queue.
#[derive(Debug)]
pub(crate) enum Item {
    /// A message of a reliable topic, by its offset.
    Tracked(u64),
    /// A message of a topic that is not reliable.
    Direct(Arc<StreamMessage>),
}

impl Consumer {
    pub(crate) fn new(id: u64, name: String, filters: Vec<String>, now: Instant) -> Self {
        Self {
            id,
            name,
            filters,
            queue: VecDeque::new(),
            session: None,
            open: true,
            reserved_until: Some(now + RESERVATION),
        }
    }

    pub(crate) fn is_attached(&self) -> bool {
        self.session.is_some()
    }

    /// Attached, or subscribed a moment ago: it keeps others from an exclusive
    /// subscription, its keys and its rank among failover consumers.
    pub(crate) fn holds_place(&self) -> bool {
        self.is_attached() || self.reserved_until.is_some()
    }

    pub(crate) fn reserved_until(&self) -> Option<Instant> {
        self.reserved_until
    }

    /// Gives up a reservation that was not used in time.
    pub(crate) fn expire(&mut self, now: Instant) {
        self.reserved_until = self.reserved_until.filter(|until| now < *until);
    }

    /// Subscribed once more: the old stream ends.
    pub(crate) fn reopen(&mut self, now: Instant) {
        self.end_session();
        self.open = true;
        self.reserved_until = Some(now + RESERVATION);
    }

    pub(crate) fn attach(&mut self, session: Arc<Session>) {
        self.end_session();
        self.session = Some(session);
        self.reserved_until = None;
        self.open = true;
    }

    /// True if this was the current session.
    pub(crate) fn detach(&mut self, session: &Arc<Session>) -> bool {
        if !self.is_session(session) {
            return false;
        }
        self.session = None;
        self.open = false;
        true
    }

    pub(crate) fn is_session(&self, session: &Arc<Session>) -> bool {
        self.session.as_ref().is_some_and(|current| Arc::ptr_eq(current, session))
    }

    pub(crate) fn push(&mut self, item: Item) {
        self.queue.push_back(item);
        if let Some(session) = &self.session {
            session.wake();
        }
    }

    pub(crate) fn end_session(&mut self) {
        if let Some(session) = self.session.take() {
            session.end();
        }
    }
}

/// One open stream of a consumer.
#[derive(Debug, Default)]
pub(crate) struct Session {
    waker: AtomicWaker,
    ended: AtomicBool,
}

impl Session {
    /// Must come before looking for messages, so that none is missed.
    pub(crate) fn register(&self, waker: &std::task::Waker) {
        self.waker.register(waker);
    }

    pub(crate) fn wake(&self) {
        self.waker.wake();
    }

    pub(crate) fn end(&self) {
        self.ended.store(true, Ordering::Release);
        self.waker.wake();
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.ended.load(Ordering::Acquire)
    }
}
