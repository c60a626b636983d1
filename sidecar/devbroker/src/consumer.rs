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

/// How long a new consumer keeps an exclusive subscription without reading.
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
    reserved_until: Instant,
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
            reserved_until: now + RESERVATION,
        }
    }

    pub(crate) fn is_attached(&self) -> bool {
        self.session.is_some()
    }

    /// Whether it keeps others from an exclusive subscription.
    pub(crate) fn holds_place(&self, now: Instant) -> bool {
        self.is_attached() || (self.open && now < self.reserved_until)
    }

    /// Subscribed once more: the old stream ends.
    pub(crate) fn reopen(&mut self, now: Instant) {
        self.end_session();
        self.open = true;
        self.reserved_until = now + RESERVATION;
    }

    pub(crate) fn attach(&mut self, session: Arc<Session>) {
        self.end_session();
        self.session = Some(session);
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
