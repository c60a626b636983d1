//! In which order the publishes of a connection arrived.
//!
//! HTTP/2 gives every call a task of its own, so that calls a client sent one after
//! the other may be handled in any order. A ticket drawn when the call arrives
//! brings them back into line.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::oneshot;

/// The line of one connection.
#[derive(Debug, Default)]
pub(crate) struct Line {
    last: Mutex<Option<oneshot::Receiver<()>>>,
}

impl Line {
    /// Takes a place at the end of the line.
    pub(crate) fn join(&self) -> Arrival {
        let (done, next) = oneshot::channel();
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let before = last.replace(next);
        Arrival(Arc::new(Mutex::new(Some(Place { before, done }))))
    }
}

/// A call's place in the line, kept while it is handled, given up when dropped.
#[derive(Clone, Debug)]
pub(crate) struct Arrival(Arc<Mutex<Option<Place>>>);

#[derive(Debug)]
struct Place {
    before: Option<oneshot::Receiver<()>>,
    done: oneshot::Sender<()>,
}

/// It is this call's turn until this is dropped.
#[derive(Debug)]
pub(crate) struct Turn {
    _done: Option<oneshot::Sender<()>>,
}

impl Arrival {
    /// Waits until those before are done.
    pub(crate) async fn turn(self) -> Turn {
        let place = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(Place { before, done }) = place else { return Turn { _done: None } };
        if let Some(before) = before {
            // An error means that it was given up, which is as good.
            let _ = before.await;
        }
        Turn { _done: Some(done) }
    }
}

/// How a client addressed this broker.
#[derive(Clone, Debug)]
pub(crate) struct Authority(pub(crate) http::uri::Authority);

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[tokio::test]
    async fn a_call_waits_for_those_that_arrived_before_it() {
        let line = Line::default();
        let (first, second) = (line.join(), line.join());
        let mut second = Box::pin(second.turn());
        assert!(second.as_mut().now_or_never().is_none());
        drop(first.turn().await);
        second.await;
    }

    #[tokio::test]
    async fn a_call_that_is_given_up_lets_the_next_through() {
        let line = Line::default();
        let (first, second) = (line.join(), line.join());
        drop(first);
        second.turn().await;
    }
}
