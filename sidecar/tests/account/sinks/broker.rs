//! A broker in virtual time: partitions with offsets, a window of un-acked messages,
//! repeats after every attach, and what goes wrong with it.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, VecDeque},
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
    time::Duration,
};

use danube_sidecar::danube::Danube;
use danube_sidecar_broker::{
    BoxSubscription, DetachReason, Outbound, ProducerSpec, PublishError, Publisher, Subscription,
    SubscriptionEvent, SubscriptionSpec,
};
use danube_sidecar_core::record::{Fingerprint, Identity, Record};
use danube_sidecar_store::Store;
use futures::{FutureExt as _, Stream, future::BoxFuture};
use rand::{Rng as _, SeedableRng as _, rngs::StdRng};
use tokio::{
    sync::{mpsc, watch},
    time::sleep,
};

use super::ledger::{Fate, Ledger};

pub const TOPIC: &str = "/default/in";

/// The broker, with everything that outlives sidecars.
pub struct Broker {
    pub ledger: Arc<Ledger>,
    state: Mutex<State>,
    /// Counts what may let a stream go on.
    changes: watch::Sender<u64>,
}

struct State {
    partitions: Vec<Partition>,
    window: usize,
    random: StdRng,
    published: u64,
    /// Counts the streams that were opened; only the last one is served.
    streams: u64,
    /// Dead letters are confirmed only outside of an outage.
    away: bool,
}

#[derive(Default)]
struct Partition {
    messages: Vec<Record>,
    /// Offsets that were delivered and not acked.
    in_flight: BTreeSet<u64>,
    next: u64,
    /// Delivered again, the next time that a stream opens, though acked.
    forgotten_acks: Vec<u64>,
}

impl Broker {
    pub fn new(ledger: Arc<Ledger>, partitions: usize, window: usize, seed: u64) -> Arc<Self> {
        let state = State {
            partitions: (0..partitions).map(|_| Partition::default()).collect(),
            window,
            random: StdRng::seed_from_u64(seed),
            published: 0,
            streams: 0,
            away: false,
        };
        Arc::new(Self { ledger, state: Mutex::new(state), changes: watch::Sender::new(0) })
    }

    fn changed(&self) {
        self.changes.send_modify(|changes| *changes += 1);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Publishes one message; a key stays in its partition.
    pub fn publish(&self, key: Option<u8>, fate: Fate) {
        let mut state = self.lock();
        state.published += 1;
        let number = state.published;
        let partitions = state.partitions.len();
        let index = key.map_or(number as usize, usize::from) % partitions;
        let offset = state.partitions[index].messages.len() as u64;
        let record = record(index, offset, number, key);
        let fingerprint = record.identity.fingerprint();
        self.ledger.lock().published(fingerprint, key, fate);
        state.partitions[index].messages.push(record);
        self.changed();
    }

    /// All streams end; `lagging`: the broker came back with an older cursor.
    pub fn disconnect(&self, lagging: bool) {
        let mut state = self.lock();
        state.streams += 1;
        self.changed();
        if !lagging {
            return;
        }
        for partition in &mut state.partitions {
            let from = partition.next.saturating_sub(20);
            let acked = (from..partition.next).filter(|at| !partition.in_flight.contains(at));
            partition.forgotten_acks = acked.collect();
        }
    }

    /// Whether dead letters can be published.
    pub fn away(&self, away: bool) {
        self.lock().away = away;
        self.changed();
    }

    /// What is delivered and not acked.
    pub fn in_flight(&self) -> u64 {
        self.lock().partitions.iter().map(|partition| partition.in_flight.len() as u64).sum()
    }

    fn some_time(&self) -> Duration {
        Duration::from_micros(self.lock().random.random_range(0..3000))
    }
}

fn record(partition: usize, offset: u64, number: u64, key: Option<u8>) -> Record {
    let identity = Identity {
        partition: name(partition),
        offset,
        producer: "producer".into(),
        request_id: number,
        publish_time_ms: number,
    };
    Record {
        identity,
        topic: TOPIC.into(),
        subscription: "sub".into(),
        key: key.map(|key| key.to_string().into()),
        payload: vec![0; 500].into(),
        attributes: HashMap::new(),
        schema: None,
    }
}

fn name(partition: usize) -> Arc<str> {
    format!("{TOPIC}-part-{partition}").into()
}

/// What a stream knows of its attachment.
#[derive(Default)]
struct Attachment {
    /// The stream's number at the broker; none while detached.
    stream: Option<u64>,
    wanted: bool,
    closed: bool,
    /// What came on this stream.
    delivered: BTreeMap<Arc<str>, BTreeSet<u64>>,
}

/// A subscription's end of it.
struct Stub {
    broker: Arc<Broker>,
    events: mpsc::Receiver<SubscriptionEvent>,
    attachment: Arc<Mutex<Attachment>>,
}

impl Danube for Handle {
    fn subscribe(&self, _: SubscriptionSpec, _: Store) -> BoxSubscription {
        let (sender, events) = mpsc::channel(8);
        let attachment = Arc::new(Mutex::new(Attachment { wanted: true, ..Attachment::default() }));
        let feeder = feed(Arc::clone(&self.0), Arc::clone(&attachment), sender);
        tokio::spawn(feeder);
        Box::pin(Stub { broker: Arc::clone(&self.0), events, attachment })
    }

    fn publisher(&self, _: ProducerSpec) -> Arc<dyn Publisher> {
        Arc::new(Self(Arc::clone(&self.0)))
    }
}

/// The broker as drivers see it.
pub struct Handle(pub Arc<Broker>);

impl Publisher for Handle {
    fn publish(&self, message: Outbound) -> BoxFuture<'_, Result<(), PublishError>> {
        let attribute = |name: &str| {
            let found = message.attributes.iter().find(|(n, _)| n == name);
            found.map(|(_, value)| value.clone()).expect("dead letters have it")
        };
        let (id, class) = (attribute("x-dedup-id"), attribute("x-failure-class"));
        async move {
            let mut changes = self.0.changes.subscribe();
            while self.0.lock().away {
                changes.changed().await.expect("the broker is held here");
            }
            sleep(self.0.some_time()).await;
            self.0.ledger.lock().letter(&id, class);
            sleep(self.0.some_time()).await;
            Ok(())
        }
        .boxed()
    }
}

/// Feeds one subscription for as long as it is read.
async fn feed(
    broker: Arc<Broker>,
    attachment: Arc<Mutex<Attachment>>,
    events: mpsc::Sender<SubscriptionEvent>,
) {
    let lock = || attachment.lock().unwrap_or_else(PoisonError::into_inner);
    let mut changes = broker.changes.subscribe();
    loop {
        let happening = step(&broker, &mut lock());
        if happening.is_empty() {
            tokio::select! {
                _ = changes.changed() => {}
                () = events.closed() => return,
            }
        }
        for event in happening {
            if events.send(event).await.is_err() {
                return;
            }
        }
        sleep(broker.some_time()).await;
    }
}

/// What happens next on a subscription.
fn step(broker: &Broker, attachment: &mut Attachment) -> VecDeque<SubscriptionEvent> {
    let mut state = broker.lock();
    let wanted = attachment.wanted && !attachment.closed;
    match attachment.stream {
        None if wanted => attach(&mut state, attachment),
        None => VecDeque::new(),
        Some(_) if !wanted => detach(&state, attachment, DetachReason::Asked),
        Some(stream) if stream != state.streams => {
            detach(&state, attachment, DetachReason::BrokerGone)
        }
        Some(_) => deliver(&mut state, attachment),
    }
}

fn attach(state: &mut State, attachment: &mut Attachment) -> VecDeque<SubscriptionEvent> {
    state.streams += 1;
    attachment.stream = Some(state.streams);
    attachment.delivered.clear();
    let mut events = VecDeque::new();
    for (index, partition) in state.partitions.iter_mut().enumerate() {
        let name = name(index);
        events.push_back(SubscriptionEvent::Attached { partition: Arc::clone(&name) });
        partition.in_flight.extend(partition.forgotten_acks.drain(..));
        for &offset in &partition.in_flight {
            let again = partition.messages[offset as usize].clone();
            events.push_back(SubscriptionEvent::Delivered(again.into()));
        }
        attachment.delivered.insert(Arc::clone(&name), partition.in_flight.clone());
        events.push_back(SubscriptionEvent::Drained { partition: name });
    }
    events
}

fn detach(
    state: &State,
    attachment: &mut Attachment,
    reason: DetachReason,
) -> VecDeque<SubscriptionEvent> {
    attachment.stream = None;
    let partitions = 0..state.partitions.len();
    partitions.map(|index| SubscriptionEvent::Detached { partition: name(index), reason }).collect()
}

fn deliver(state: &mut State, attachment: &mut Attachment) -> VecDeque<SubscriptionEvent> {
    let State { partitions, window, .. } = state;
    let mut events = VecDeque::new();
    for (index, partition) in partitions.iter_mut().enumerate() {
        while partition.in_flight.len() < *window
            && let Some(record) = partition.messages.get(partition.next as usize)
        {
            let delivered = attachment.delivered.entry(name(index)).or_default();
            delivered.insert(partition.next);
            partition.in_flight.insert(partition.next);
            partition.next += 1;
            events.push_back(SubscriptionEvent::Delivered(record.clone().into()));
        }
    }
    events
}

impl Stream for Stub {
    type Item = SubscriptionEvent;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.events.poll_recv(cx)
    }
}

impl Stub {
    fn lock(&self) -> MutexGuard<'_, Attachment> {
        self.attachment.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Subscription for Stub {
    fn ack(&mut self, partition: &Arc<str>, offset: u64) {
        let attachment = self.lock();
        let came = attachment.delivered.get(partition).is_some_and(|came| came.contains(&offset));
        let mut state = self.broker.lock();
        if !came || attachment.stream != Some(state.streams) {
            return;
        }
        let found = (0..state.partitions.len()).find(|&index| *name(index) == **partition);
        let Some(index) = found else { return };
        let partition = &mut state.partitions[index];
        if partition.in_flight.remove(&offset) {
            let fingerprint: Fingerprint =
                partition.messages[offset as usize].identity.fingerprint();
            self.broker.ledger.lock().acked(fingerprint);
            self.broker.changed();
        }
    }

    fn detach(&mut self) {
        self.lock().wanted = false;
        self.broker.changed();
    }

    fn attach(&mut self) {
        self.lock().wanted = true;
        self.broker.changed();
    }

    fn close(self: Box<Self>) -> BoxFuture<'static, ()> {
        self.lock().closed = true;
        async {}.boxed()
    }
}
