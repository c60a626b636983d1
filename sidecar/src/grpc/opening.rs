//! The body of a request until its first message is there: small, soon, and few of them
//! at a time.
//!
//! tonic keeps what it has of a message until it is whole. A session's frames may be
//! megabytes, but before its `open` nobody has a claim on that.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use tokio::{
    sync::Semaphore,
    time::{Sleep, sleep},
};
use tokio_util::sync::PollSemaphore;
use tonic::Status;

/// Flag and length of a message, before its bytes.
const PREFIX: usize = 5;

/// What a body must keep to.
#[derive(Clone)]
pub(super) struct Bounds {
    /// Largest first message, in bytes.
    pub(super) first: usize,
    /// How long the whole body may take; none where it is a session.
    pub(super) within: Option<Duration>,
    /// How many may be before the end of their first message at a time.
    pub(super) at_once: Arc<Semaphore>,
}

/// A body that keeps to [`Bounds`], or ends with an error.
pub(super) struct Opening<B> {
    body: B,
    limit: usize,
    first: First,
    deadline: Option<Pin<Box<Sleep>>>,
}

/// How much of the first message is there.
enum First {
    /// It is not its turn yet.
    Waiting(PollSemaphore),
    /// Some bytes of its prefix.
    Prefix { seen: Vec<u8>, _turn: tokio::sync::OwnedSemaphorePermit },
    /// So many of its bytes are missing.
    Message { missing: usize, _turn: tokio::sync::OwnedSemaphorePermit },
    /// All of it.
    Whole,
}

impl<B> Opening<B> {
    pub(super) fn new(body: B, bounds: &Bounds) -> Self {
        Self {
            body,
            limit: bounds.first,
            first: First::Waiting(PollSemaphore::new(Arc::clone(&bounds.at_once))),
            deadline: bounds.within.map(|within| Box::pin(sleep(within))),
        }
    }

    fn poll_turn(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Status>> {
        if let First::Waiting(turns) = &mut self.first {
            let turn = ready!(turns.poll_acquire(cx));
            let turn = turn.ok_or_else(|| Status::unavailable("the sidecar is shutting down"))?;
            self.first = First::Prefix { seen: Vec::with_capacity(PREFIX), _turn: turn };
        }
        Poll::Ready(Ok(()))
    }

    fn poll_deadline(&mut self, cx: &mut Context<'_>) -> Result<(), Status> {
        let passed = self.deadline.as_mut().is_some_and(|end| end.as_mut().poll(cx).is_ready());
        if passed { Err(Status::deadline_exceeded("the request took too long")) } else { Ok(()) }
    }

    /// Notes what came.
    fn seen(&mut self, mut data: &[u8]) -> Result<(), Status> {
        if let First::Prefix { seen, .. } = &mut self.first {
            let (prefix, rest) = data.split_at(data.len().min(PREFIX - seen.len()));
            seen.extend_from_slice(prefix);
            data = rest;
            let &[_, a, b, c, d] = &seen[..] else { return Ok(()) };
            let missing = u32::from_be_bytes([a, b, c, d]) as usize;
            if missing > self.limit {
                return Err(Status::out_of_range("the first message is too large"));
            }
            self.first = match std::mem::replace(&mut self.first, First::Whole) {
                First::Prefix { _turn, .. } => First::Message { missing, _turn },
                other => other,
            };
        }
        if let First::Message { missing, .. } = &mut self.first {
            *missing = missing.saturating_sub(data.len());
            if *missing == 0 {
                self.first = First::Whole;
            }
        }
        Ok(())
    }
}

impl<B> Body for Opening<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        if let Err(late) = self.poll_deadline(cx) {
            return Poll::Ready(Some(Err(late)));
        }
        if let Err(closed) = ready!(self.poll_turn(cx)) {
            return Poll::Ready(Some(Err(closed)));
        }
        let frame = match ready!(Pin::new(&mut self.body).poll_frame(cx)) {
            None => return Poll::Ready(None),
            Some(Err(error)) => return Poll::Ready(Some(Err(Status::from_error(error.into())))),
            Some(Ok(frame)) => frame,
        };
        let noted = frame.data_ref().map_or(Ok(()), |data| self.seen(data));
        Poll::Ready(Some(noted.map(|()| frame)))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
