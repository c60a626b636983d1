//! Events on their way from the partitions of a subscription to its reader.

use std::{
    sync::Arc,
    task::{Context, Poll},
};

use tokio::sync::{Semaphore, mpsc};

use crate::SubscriptionEvent;

/// Events that wait for the reader, of all partitions together, …
const EVENTS: usize = 256;
/// … and bytes of their records, but for a single record that is larger: the reader
/// counts only what it has read.
const BYTES: usize = 4 << 20;

/// A queue that is bounded both ways.
pub(crate) fn channel() -> (Sender, Receiver) {
    let (sender, receiver) = mpsc::channel(EVENTS);
    let room = Arc::new(Semaphore::new(BYTES));
    (Sender { queue: sender, room: Arc::clone(&room) }, Receiver { queue: receiver, room })
}

/// The partitions' end.
#[derive(Clone, Debug)]
pub(crate) struct Sender {
    queue: mpsc::Sender<SubscriptionEvent>,
    room: Arc<Semaphore>,
}

/// The reader's end.
#[derive(Debug)]
pub(crate) struct Receiver {
    queue: mpsc::Receiver<SubscriptionEvent>,
    room: Arc<Semaphore>,
}

/// There is no reader any more.
#[derive(Debug)]
pub(crate) struct Closed;

impl Sender {
    /// Waits for room, and queues the event.
    pub(crate) async fn send(&self, event: SubscriptionEvent) -> Result<(), Closed> {
        let room = tokio::select! {
            room = self.room.acquire_many(bytes(&event)) => room.map_err(|_| Closed)?,
            () = self.queue.closed() => return Err(Closed),
        };
        self.queue.send(event).await.map_err(|_| Closed)?;
        // The reader gives it back.
        room.forget();
        Ok(())
    }
}

impl Receiver {
    pub(crate) fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Option<SubscriptionEvent>> {
        let event = std::task::ready!(self.queue.poll_recv(cx));
        self.room.add_permits(event.as_ref().map_or(0, bytes) as usize);
        Poll::Ready(event)
    }

    pub(crate) fn close(&mut self) {
        self.queue.close();
    }
}

/// What an event takes of the room.
fn bytes(event: &SubscriptionEvent) -> u32 {
    match event {
        SubscriptionEvent::Delivered(record) => record.encoded_len().min(BYTES) as u32,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use danube_sidecar_core::record::{Identity, Record};
    use futures::{FutureExt as _, future::poll_fn};

    use super::*;

    fn delivered(bytes: usize) -> SubscriptionEvent {
        let identity = Identity {
            partition: "/default/t".into(),
            offset: 0,
            producer: "p".into(),
            request_id: 0,
            publish_time_ms: 0,
        };
        let record = Record {
            identity,
            topic: "/default/t".into(),
            subscription: "s".into(),
            key: None,
            payload: vec![0; bytes].into(),
            attributes: Default::default(),
            schema: None,
        };
        SubscriptionEvent::Delivered(Arc::new(record))
    }

    #[tokio::test]
    async fn large_records_wait_until_the_reader_has_read_those_before() {
        let (sender, mut receiver) = channel();
        assert!(sender.send(delivered(BYTES / 2)).await.is_ok());
        let mut second = std::pin::pin!(sender.send(delivered(BYTES)));
        assert!(second.as_mut().now_or_never().is_none());

        assert!(poll_fn(|cx| receiver.poll_recv(cx)).await.is_some());
        assert!(second.await.is_ok(), "a record larger than all the room comes alone");
        assert!(poll_fn(|cx| receiver.poll_recv(cx)).await.is_some());
        assert!(sender.send(delivered(1)).await.is_ok());
    }

    #[tokio::test]
    async fn nobody_waits_for_a_reader_that_is_gone() {
        let (sender, receiver) = channel();
        assert!(sender.send(delivered(BYTES)).await.is_ok());
        let waiting = tokio::spawn(async move { sender.send(delivered(BYTES)).await });
        drop(receiver);
        let sent = tokio::time::timeout(Duration::from_secs(10), waiting).await;
        assert!(matches!(sent, Ok(Ok(Err(Closed)))));
    }
}
