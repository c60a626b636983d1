//! A broker that takes messages late, loses requests and confirmations, refuses, and
//! goes away. As the publishers of the sidecar do, it tries again until a message is
//! confirmed.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use danube_sidecar::danube::Danube;
use danube_sidecar_broker::{
    BoxSubscription, Outbound, ProducerSpec, PublishError, Publisher, SubscriptionSpec,
};
use danube_sidecar_store::Store;
use futures::{FutureExt as _, future::BoxFuture};
use rand::{Rng as _, SeedableRng as _, rngs::StdRng};
use tokio::{sync::watch, time::sleep};
use tokio_util::sync::CancellationToken;

use super::{
    account::Origin,
    ledger::Ledger,
    upstream::{CONNECTOR, Fate, Place, TOPICS, name},
};

/// The attribute that tells the simulation where a message comes from.
pub const ORIGIN: &str = "origin";

/// The broker, with everything that outlives sidecars.
pub struct Broker {
    ledger: Arc<Ledger>,
    random: Mutex<StdRng>,
    pub away: watch::Sender<bool>,
    pub slow: watch::Sender<bool>,
}

/// The broker as one sidecar sees it.
#[derive(Clone)]
pub struct Handle {
    pub broker: Arc<Broker>,
    /// After this nothing of the sidecar happens any more.
    pub life: CancellationToken,
}

/// What becomes of one attempt to publish.
enum Attempt {
    Confirmed,
    RequestLost,
    ConfirmationLost,
    /// It is given up, and taken later nevertheless.
    Straggling,
}

/// A message, known again.
#[derive(Clone, Copy)]
struct Known {
    origin: Origin,
    letter: bool,
}

impl Broker {
    pub fn new(ledger: Arc<Ledger>, seed: u64) -> Arc<Self> {
        let random = Mutex::new(StdRng::seed_from_u64(seed));
        let (away, slow) = (watch::Sender::new(false), watch::Sender::new(false));
        Arc::new(Self { ledger, random, away, slow })
    }

    fn random(&self) -> MutexGuard<'_, StdRng> {
        self.random.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn some_time(&self) -> Duration {
        let most = if *self.slow.borrow() { 2_000_000 } else { 3000 };
        Duration::from_micros(self.random().random_range(0..most))
    }

    fn attempt(&self) -> Attempt {
        match self.random().random_range(0..100) {
            0..91 => Attempt::Confirmed,
            91..94 => Attempt::RequestLost,
            94..97 => Attempt::ConfirmationLost,
            _ => Attempt::Straggling,
        }
    }

    async fn publish(self: Arc<Self>, known: Known) -> Result<(), PublishError> {
        loop {
            let mut away = self.away.subscribe();
            let _ = away.wait_for(|away| !away).await;
            if self.refuses(known) {
                sleep(self.some_time()).await;
                self.rejected(known);
                return Err(PublishError::Invalid { detail: "schema".to_owned() });
            }
            match self.attempt() {
                Attempt::RequestLost => {}
                Attempt::Confirmed => {
                    self.arrive(known, self.some_time()).await;
                    sleep(self.some_time()).await;
                    self.confirmed(known);
                    return Ok(());
                }
                Attempt::ConfirmationLost => {
                    self.arrive(known, self.some_time()).await;
                    self.ledger.lock().repeats += 1;
                }
                Attempt::Straggling => {
                    let late = self.some_time() * 20;
                    tokio::spawn(Arc::clone(&self).arrive_detached(known, late));
                    self.ledger.lock().repeats += 1;
                }
            }
            let pause = self.some_time() * 10;
            sleep(pause).await;
        }
    }

    /// The message is on its way, whatever becomes of who sent it.
    async fn arrive(self: &Arc<Self>, known: Known, after: Duration) {
        let _ = tokio::spawn(Arc::clone(self).arrive_detached(known, after)).await;
    }

    async fn arrive_detached(self: Arc<Self>, known: Known, after: Duration) {
        sleep(after).await;
        let mut ledger = self.ledger.lock();
        if known.letter {
            ledger.note(format!("letter {known:?}"));
            ledger.entry(known.origin.place).letters += 1;
        } else {
            ledger.taken(known.origin);
        }
    }

    fn refuses(&self, known: Known) -> bool {
        let mut ledger = self.ledger.lock();
        let refused = ledger.entry(known.origin.place).fate == Fate::Refused;
        refused && !known.letter && !(ledger.mended && ledger.fails())
    }

    /// Without dead letters and without an error nothing more becomes of it.
    fn rejected(&self, known: Known) {
        let mut ledger = self.ledger.lock();
        if !ledger.rules.letters && !ledger.fails() {
            ledger.entry(known.origin.place).settled = true;
        }
    }

    fn confirmed(&self, known: Known) {
        self.ledger.lock().entry(known.origin.place).settled = true;
    }
}

impl Danube for Handle {
    fn subscribe(&self, _: SubscriptionSpec, _: Store) -> BoxSubscription {
        unreachable!("a source has no subscription")
    }

    fn publisher(&self, spec: ProducerSpec) -> Arc<dyn Publisher> {
        Arc::new(Producer { handle: self.clone(), topic: spec.topic })
    }
}

struct Producer {
    handle: Handle,
    topic: Arc<str>,
}

impl Publisher for Producer {
    fn publish(&self, message: Outbound) -> BoxFuture<'_, Result<(), PublishError>> {
        let Handle { broker, life } = &self.handle;
        let known = self.known(&message);
        async move {
            let _flight = Flight::begin(&broker.ledger, known.origin);
            tokio::select! {
                biased;
                () = life.cancelled() => std::future::pending().await,
                result = Arc::clone(broker).publish(known) => result,
            }
        }
        .boxed()
    }
}

impl Producer {
    /// Knows a message again, and looks whether it is as it was sent.
    fn known(&self, message: &Outbound) -> Known {
        let origin = only(message, ORIGIN).and_then(parsed).expect("every record has an origin");
        let letter = !TOPICS.contains(&&*self.topic);
        let mut ledger = self.handle.broker.ledger.lock();
        let place = origin.place;
        let positioned = ledger.partitions[place.partition].positioned;
        let wanted = if positioned {
            (Some(name(place.partition)), Some(place.offset.to_string()))
        } else {
            (None, None)
        };
        let found = ["x-source-partition", "x-source-offset"].map(|name| only(message, name));
        let found = (found[0].map(str::to_owned), found[1].map(str::to_owned));
        let entry = ledger.entry(place);
        let key = entry.key.map(|key| key.to_string());
        let same = found == wanted && message.key.as_deref() == key.as_deref();
        let there = letter || *TOPICS[entry.topic] == *self.topic;
        ledger.require(same && there, || format!("not as it was sent: {origin:?} {message:?}"));
        if letter {
            let id = match positioned {
                true => format!("{CONNECTOR}/{}/{}", name(place.partition), place.offset),
                false => format!("{CONNECTOR}/epoch-{}/{}", origin.epoch, origin.number),
            };
            ledger.require(only(message, "x-dedup-id") == Some(&id), || {
                format!("the letter of {origin:?} has another id than {id}: {message:?}")
            });
        }
        Known { origin, letter }
    }
}

/// The only attribute of this name.
fn only<'m>(message: &'m Outbound, name: &str) -> Option<&'m str> {
    let mut found = message.attributes.iter().filter(|(known, _)| known == name);
    let first = found.next().map(|(_, value)| value.as_str());
    if found.next().is_none() { first } else { Some("ambiguous") }
}

/// The attribute that [`parsed`] reads.
pub fn written(Origin { epoch, number, place }: Origin) -> String {
    format!("{epoch} {number} {} {}", place.partition, place.offset)
}

fn parsed(origin: &str) -> Option<Origin> {
    let mut numbers = origin.split(' ').map(str::parse::<u64>);
    let mut next = || numbers.next()?.ok();
    let (epoch, number) = (next()?, next()?);
    let place = Place { partition: next()? as usize, offset: next()? };
    Some(Origin { epoch, number, place })
}

impl std::fmt::Debug for Known {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Origin { epoch, number, place } = self.origin;
        write!(formatter, "{place:?} as {epoch}#{number}")
    }
}

/// A publish of which the sidecar does not know the end.
struct Flight<'a> {
    ledger: &'a Ledger,
    epoch: u64,
}

impl<'a> Flight<'a> {
    fn begin(ledger: &'a Ledger, origin: Origin) -> Self {
        let epoch = origin.epoch;
        let mut inner = ledger.lock();
        let session = inner.session(epoch);
        session.in_flight += 1;
        session.published = session.published.max(origin.number);
        Self { ledger, epoch }
    }
}

impl Drop for Flight<'_> {
    fn drop(&mut self) {
        self.ledger.lock().session(self.epoch).in_flight -= 1;
    }
}
