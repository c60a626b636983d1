//! A Danube in memory that has as many records as anybody takes: what remains is the
//! sidecar.

use std::{
    collections::VecDeque,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker},
};

use bytes::Bytes;
use danube_sidecar::danube::Danube;
use danube_sidecar_broker::{
    BoxSubscription, Outbound, ProducerSpec, PublishError, Publisher, Subscription,
    SubscriptionEvent, SubscriptionSpec,
};
use danube_sidecar_core::record::{Identity, Record};
use danube_sidecar_store::Store;
use futures::{FutureExt as _, Stream, future::BoxFuture};

/// Un-acked records that it allows, as a broker does that was tuned.
const WINDOW: u64 = 5000;
const KEYS: usize = 1000;

/// Subscriptions without end.
#[derive(Clone, Debug)]
pub struct Null {
    payload: Bytes,
}

impl Null {
    /// Records of so many bytes.
    pub fn new(size: usize) -> Self {
        Self { payload: Bytes::from(vec![b'x'; size]) }
    }
}

impl Danube for Null {
    fn subscribe(&self, spec: SubscriptionSpec, _: Store) -> BoxSubscription {
        let partition = Arc::clone(&spec.topic);
        let keys = (0..KEYS).map(|key| format!("key-{key}").into()).collect();
        Box::pin(Endless {
            begun: VecDeque::from([
                SubscriptionEvent::Attached { partition: Arc::clone(&partition) },
                SubscriptionEvent::Drained { partition },
            ]),
            payload: self.payload.clone(),
            producer: "null".into(),
            keys,
            next: 0,
            unacked: 0,
            waker: None,
            spec,
        })
    }

    fn publisher(&self, _: ProducerSpec) -> Arc<dyn Publisher> {
        Arc::new(self.clone())
    }
}

impl Publisher for Null {
    fn publish(&self, _: Outbound) -> BoxFuture<'_, Result<(), PublishError>> {
        async { Ok(()) }.boxed()
    }
}

/// Gives the next record whenever there is room in the window.
struct Endless {
    spec: SubscriptionSpec,
    begun: VecDeque<SubscriptionEvent>,
    payload: Bytes,
    producer: Arc<str>,
    keys: Vec<Arc<str>>,
    next: u64,
    unacked: u64,
    waker: Option<Waker>,
}

impl Stream for Endless {
    type Item = SubscriptionEvent;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if let Some(event) = self.begun.pop_front() {
            return Poll::Ready(Some(event));
        }
        if self.unacked >= WINDOW {
            self.waker = Some(cx.waker().clone());
            return Poll::Pending;
        }
        let offset = self.next;
        self.next += 1;
        self.unacked += 1;
        Poll::Ready(Some(SubscriptionEvent::Delivered(self.record(offset).into())))
    }
}

impl Endless {
    fn record(&self, offset: u64) -> Record {
        Record {
            identity: Identity {
                partition: Arc::clone(&self.spec.topic),
                offset,
                producer: Arc::clone(&self.producer),
                request_id: offset,
                publish_time_ms: 1_700_000_000_000,
            },
            topic: Arc::clone(&self.spec.topic),
            subscription: Arc::clone(&self.spec.subscription),
            key: Some(Arc::clone(&self.keys[offset as usize % KEYS])),
            payload: self.payload.clone(),
            attributes: Default::default(),
            schema: None,
        }
    }
}

impl Subscription for Endless {
    fn ack(&mut self, _: &Arc<str>, _: u64) {
        self.unacked -= 1;
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    fn detach(&mut self) {}

    fn attach(&mut self) {}

    fn close(self: Box<Self>) -> BoxFuture<'static, ()> {
        async {}.boxed()
    }
}
