//! The stream of ReceiveMessages.

use std::{
    collections::VecDeque,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use danube_core::proto::StreamMessage;
use futures::Stream;
use tokio::time::Instant;
use tonic::Status;

use crate::{broker::ConsumerPlace, consumer::Session, topic::Taken};

/// What one consumer reads, until it closes it or another stream takes over.
#[derive(Debug)]
pub(crate) struct Deliveries {
    place: ConsumerPlace,
    consumer: u64,
    session: Arc<Session>,
    taken: VecDeque<StreamMessage>,
}

impl Deliveries {
    /// None if the consumer is not known any more.
    pub(crate) fn open(place: ConsumerPlace, consumer: u64) -> Option<Self> {
        let session = Arc::<Session>::default();
        let known = place.topic.attach(&place.subscription, consumer, Arc::clone(&session));
        known.then(|| Self { place, consumer, session, taken: VecDeque::new() })
    }

    fn take(&mut self) -> Taken {
        let Self { place, consumer, session, taken } = self;
        let out = |message| taken.push_back(message);
        place.topic.take(&place.subscription, *consumer, session, Instant::now(), out)
    }
}

impl Stream for Deliveries {
    type Item = Result<StreamMessage, Status>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.session.has_ended() {
            return Poll::Ready(None);
        }
        if self.taken.is_empty() {
            self.session.register(cx.waker());
            if self.take() == Taken::Ended {
                return Poll::Ready(None);
            }
        }
        match self.taken.pop_front() {
            Some(message) => Poll::Ready(Some(Ok(message))),
            None => Poll::Pending,
        }
    }
}

impl Drop for Deliveries {
    fn drop(&mut self) {
        let Self { place, consumer, session, .. } = self;
        place.topic.detach(&place.subscription, *consumer, session, Instant::now());
    }
}
