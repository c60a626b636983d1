//! A Danube that says what a test wants.

use std::{
    collections::{HashMap, VecDeque},
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll, Waker},
};

use danube_sidecar::{
    config::{Subscription as Wanted, SubscriptionKind},
    danube::Danube,
};
use danube_sidecar_broker::{
    BoxSubscription, Outbound, ProducerSpec, PublishError, Publisher, Subscription,
    SubscriptionEvent, SubscriptionSpec,
};
use danube_sidecar_core::record::{Identity, Record};
use danube_sidecar_store::Store;
use futures::{FutureExt as _, Stream, future::BoxFuture};
use tokio::sync::Notify;

pub const TOPIC: &str = "/default/in";

/// One subscription's script: what it says, and what it was asked. It also takes
/// what is published.
#[derive(Clone, Default)]
pub struct Script {
    state: Arc<Mutex<State>>,
    confirmation: Arc<Notify>,
}

#[derive(Default)]
struct State {
    events: VecDeque<SubscriptionEvent>,
    waker: Option<Waker>,
    acks: Vec<u64>,
    let_go: bool,
    published: usize,
    /// Panics when this offset is acked, once.
    fault_at: Option<u64>,
    /// The next publish panics.
    publish_fault: bool,
}

impl Script {
    pub fn say(&self, event: SubscriptionEvent) {
        let mut state = self.state.lock().unwrap();
        state.events.push_back(event);
        if let Some(waker) = state.waker.take() {
            waker.wake();
        }
    }

    pub fn attach(&self) {
        self.say(SubscriptionEvent::Attached { partition: TOPIC.into() });
        self.say(SubscriptionEvent::Drained { partition: TOPIC.into() });
    }

    pub fn deliver(&self, offsets: std::ops::Range<u64>) {
        offsets.for_each(|offset| self.say(SubscriptionEvent::Delivered(record(offset).into())));
    }

    /// The ack of this offset panics, once: a fault in whoever acks.
    pub fn panic_at(&self, offset: u64) {
        self.state.lock().unwrap().fault_at = Some(offset);
    }

    /// The next publish panics: a fault in whoever publishes.
    pub fn panic_at_a_publish(&self) {
        self.state.lock().unwrap().publish_fault = true;
    }

    /// The offsets that were acked, in that order.
    pub fn acks(&self) -> Vec<u64> {
        self.state.lock().unwrap().acks.clone()
    }

    /// Whether it was told to detach.
    pub fn is_let_go(&self) -> bool {
        self.state.lock().unwrap().let_go
    }

    /// How many messages were published.
    pub fn published(&self) -> usize {
        self.state.lock().unwrap().published
    }

    /// Counts a publish; tells whether it is to panic.
    fn published_one(&self) -> bool {
        let mut state = self.state.lock().unwrap();
        state.published += 1;
        std::mem::take(&mut state.publish_fault)
    }

    /// Confirms the message that was published.
    pub fn confirm(&self) {
        self.confirmation.notify_one();
    }
}

pub fn record(offset: u64) -> Record {
    let identity = Identity {
        partition: TOPIC.into(),
        offset,
        producer: "producer".into(),
        request_id: offset,
        publish_time_ms: offset,
    };
    Record {
        identity,
        topic: TOPIC.into(),
        subscription: "sub".into(),
        key: None,
        payload: vec![0; 100].into(),
        attributes: HashMap::new(),
        schema: None,
    }
}

pub fn subscription() -> Wanted {
    Wanted {
        topic: TOPIC.parse().unwrap(),
        subscription: "sub".to_owned(),
        kind: SubscriptionKind::Exclusive,
        consumer_name: "consumer".to_owned(),
        key_filters: Vec::new(),
    }
}

impl Danube for Script {
    fn subscribe(&self, _: SubscriptionSpec, _: Store) -> BoxSubscription {
        Box::pin(self.clone())
    }

    fn publisher(&self, _: ProducerSpec) -> Arc<dyn Publisher> {
        Arc::new(self.clone())
    }
}

impl Publisher for Script {
    fn publish(&self, _: Outbound) -> BoxFuture<'_, Result<(), PublishError>> {
        async {
            assert!(!self.published_one(), "a fault at a publish");
            self.confirmation.notified().await;
            Ok(())
        }
        .boxed()
    }
}

impl Stream for Script {
    type Item = SubscriptionEvent;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let mut state = self.state.lock().unwrap();
        match state.events.pop_front() {
            Some(event) => Poll::Ready(Some(event)),
            None => {
                state.waker = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }
}

impl Subscription for Script {
    fn ack(&mut self, _: &Arc<str>, offset: u64) {
        let mut state = self.state.lock().unwrap();
        let fault = state.fault_at.take_if(|fault| *fault == offset);
        state.acks.push(offset);
        drop(state);
        assert!(fault.is_none(), "a fault at offset {offset}");
    }

    fn detach(&mut self) {
        self.state.lock().unwrap().let_go = true;
    }

    fn attach(&mut self) {
        self.state.lock().unwrap().let_go = false;
    }

    fn close(self: Box<Self>) -> BoxFuture<'static, ()> {
        async {}.boxed()
    }
}
