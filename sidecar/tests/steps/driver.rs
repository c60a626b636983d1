//! What a driver does between its intake and its workers.

use std::{sync::Arc, time::Duration};

use danube_sidecar::{
    config::{Connector, Subscription, SubscriptionKind},
    intake::Buffers,
    session::{Caller, FromSink, SinkOpen, ToSink},
    sink::{Driver, Parts, Plan, Seat, Sink},
};
use danube_sidecar_broker::{DetachReason, SubscriptionEvent};
use danube_sidecar_core::{
    dispatch::{Departure, Offer},
    outcome::{Failure, Outcome, Results},
};
use danube_sidecar_store::{InboxSettings, LetterFilter, LetterSettings, Letters, Store};
use tokio::{
    task::JoinHandle,
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use crate::danube::{Script, TOPIC, subscription};

const INBOX: InboxSettings =
    InboxSettings { fsync: false, max_bytes: 1 << 20, retain: Duration::ZERO };
const LETTERS: LetterSettings =
    LetterSettings { max_bytes: 1 << 20, max_age: Duration::from_secs(3600) };
/// How long subscriptions stay attached without a worker.
const PATIENCE: Duration = Duration::from_secs(10);

/// A running driver.
struct Bench {
    script: Script,
    sink: Sink,
    shutdown: CancellationToken,
    task: JoinHandle<()>,
}

impl Bench {
    fn new(store: &Store, inbox: Option<InboxSettings>) -> Self {
        Self::of(subscription(), store, inbox)
    }

    fn of(wanted: Subscription, store: &Store, inbox: Option<InboxSettings>) -> Self {
        let (script, shutdown) = (Script::default(), CancellationToken::new());
        let parts = Parts {
            danube: Arc::new(script.clone()),
            store: store.clone(),
            inbox,
            letters: Some(letters(store)),
            create_topics: false,
            broker_window: 1000,
            buffer: Arc::new(Buffers::new(1 << 20).share()),
            patience: PATIENCE,
            shutdown: shutdown.clone(),
            shutdown_timeout: Duration::from_secs(30),
            seed: 1,
        };
        let connector = Connector {
            name: "sink".to_owned(),
            subscriptions: vec![wanted],
            ..Connector::default()
        };
        let (driver, sink) = Driver::prepare(parts, Plan::of_file(connector), None);
        script.attach();
        Self { script, sink, shutdown, task: tokio::spawn(driver.run()) }
    }

    async fn join(&self) -> Seat {
        let caller =
            Caller { connector: "sink".to_owned(), max_frame_bytes: 4 << 20, ..Caller::default() };
        self.sink.join(SinkOpen { caller, ..SinkOpen::default() }).await.unwrap()
    }

    async fn results(&self, seat: &Seat, results: Results) {
        self.sink.said(seat.worker, FromSink::Results(results)).await;
    }

    /// Lets virtual time pass: the driver does what is to be done by then.
    async fn pass(&self, time: Duration) {
        sleep(time).await;
    }
}

async fn batch(seat: &mut Seat) -> Vec<Offer> {
    match timeout(Duration::from_secs(60), seat.frames.recv()).await {
        Ok(Some(ToSink::Batch(offers))) => offers,
        other => panic!("a batch comes: {other:?}"),
    }
}

fn letters(store: &Store) -> Letters {
    store.letters("sink", LETTERS)
}

/// Which of the copies of dead letters are marked as published.
async fn copies(store: &Store) -> Vec<bool> {
    let all = letters(store).list(&LetterFilter::default()).await.unwrap();
    all.iter().map(|copy| copy.published).collect()
}

fn acked(offers: &[Offer]) -> Results {
    let acked = offers.iter().map(|offer| (offer.delivery, offer.delivery)).collect();
    Results { acked, failures: Vec::new() }
}

fn failed(offers: &[Offer], outcome: Outcome) -> Results {
    let failure = |offer: &Offer| Failure {
        delivery: offer.delivery,
        outcome,
        code: "DOWN".to_owned(),
        message: String::new(),
    };
    Results { acked: Vec::new(), failures: offers.iter().map(failure).collect() }
}

#[tokio::test(start_paused = true)]
async fn without_a_worker_the_broker_is_let_go_of_until_one_comes() {
    let bench = Bench::new(&Store::in_memory().unwrap(), None);
    bench.pass(PATIENCE / 2).await;
    assert!(!bench.script.is_let_go());
    bench.pass(PATIENCE).await;
    assert!(bench.script.is_let_go());

    let _seat = bench.join().await;
    bench.pass(Duration::from_millis(1)).await;
    assert!(!bench.script.is_let_go());
}

#[tokio::test(start_paused = true)]
async fn while_nothing_succeeds_the_broker_is_let_go_of() {
    let bench = Bench::new(&Store::in_memory().unwrap(), None);
    let mut seat = bench.join().await;
    bench.script.deliver(0..20);
    let offers = batch(&mut seat).await;
    assert_eq!(offers.len(), 20);

    // Each in a frame of its own: together they would be one sign of an outage.
    for offer in offers.chunks(1) {
        bench.results(&seat, failed(offer, Outcome::Retry { after: None })).await;
    }
    bench.pass(Duration::from_millis(1)).await;

    assert!(bench.script.is_let_go());
}

#[tokio::test(start_paused = true)]
async fn a_shared_subscription_that_brought_too_much_is_left_to_the_others_for_a_second() {
    let wanted = Subscription { kind: SubscriptionKind::Shared, ..subscription() };
    let bench = Bench::of(wanted, &Store::in_memory().unwrap(), None);
    bench.script.deliver(0..2000);
    bench.pass(Duration::from_millis(1)).await;
    assert!(bench.script.is_let_go());
    bench
        .script
        .say(SubscriptionEvent::Detached { partition: TOPIC.into(), reason: DetachReason::Asked });
    bench.pass(Duration::from_millis(900)).await;
    assert!(bench.script.is_let_go());

    bench.pass(Duration::from_millis(100)).await;
    assert!(!bench.script.is_let_go());
}

#[tokio::test(start_paused = true)]
async fn what_was_in_hand_at_crashes_is_a_suspect_after_a_kill_too() {
    let store = Store::in_memory().unwrap();
    let bench = Bench::new(&store, Some(INBOX));
    bench.script.deliver(0..2);
    bench.pass(Duration::from_millis(1)).await;
    for _ in 0..2 {
        let mut seat = bench.join().await;
        assert_eq!(batch(&mut seat).await.len(), 2);
        seat.leave(Departure::Crashed);
        bench.pass(Duration::from_millis(1)).await;
    }
    bench.pass(Duration::from_millis(1)).await;
    bench.task.abort();

    let again = Bench::new(&store, Some(INBOX));
    let mut seat = again.join().await;
    let offers = batch(&mut seat).await;

    let crashes: Vec<_> = offers.iter().map(|offer| offer.crashes).collect();
    assert_eq!(crashes, [2], "a suspect comes alone");
}

#[tokio::test(start_paused = true)]
async fn a_rejected_record_is_acked_when_its_dead_letter_is_confirmed_and_not_before() {
    let store = Store::in_memory().unwrap();
    let bench = Bench::new(&store, None);
    let mut seat = bench.join().await;
    bench.script.deliver(0..1);
    let offers = batch(&mut seat).await;

    bench.results(&seat, failed(&offers, Outcome::Reject)).await;
    bench.pass(Duration::from_secs(60)).await;
    assert_eq!((bench.script.published(), bench.script.acks()), (1, vec![]));

    bench.script.confirm();
    bench.pass(Duration::from_millis(1)).await;
    assert_eq!(bench.script.acks(), [0]);
}

#[tokio::test(start_paused = true)]
async fn a_dead_letter_is_copied_before_it_is_published_and_marked_when_it_is_confirmed() {
    let store = Store::in_memory().unwrap();
    let bench = Bench::new(&store, None);
    let mut seat = bench.join().await;
    bench.script.deliver(0..1);
    let offers = batch(&mut seat).await;

    bench.results(&seat, failed(&offers, Outcome::Reject)).await;
    bench.pass(Duration::from_millis(1)).await;
    assert_eq!(copies(&store).await, [false]);

    bench.script.confirm();
    bench.pass(Duration::from_millis(1)).await;
    assert_eq!(copies(&store).await, [true]);
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_never_took_its_seat_keeps_no_lane() {
    let bench = Bench::new(&Store::in_memory().unwrap(), None);
    // Who opened the session went while the driver answered.
    drop(bench.join().await);
    let mut seat = bench.join().await;

    bench.script.deliver(0..40);
    let mut got = 0;
    while got < 40 {
        let offers = batch(&mut seat).await;
        got += offers.len();
        bench.results(&seat, acked(&offers)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_worker_said_before_it_left_counts() {
    let bench = Bench::new(&Store::in_memory().unwrap(), None);
    let mut seat = bench.join().await;
    bench.script.deliver(0..2);
    let offers = batch(&mut seat).await;

    bench.results(&seat, acked(&offers)).await;
    seat.leave(Departure::Crashed);
    bench.pass(Duration::from_millis(1)).await;

    assert_eq!(bench.script.acks(), [0, 1]);
}

/// More than once: what ends last is a matter of chance.
#[tokio::test(start_paused = true)]
async fn a_drain_writes_what_its_workers_resolved_last() {
    for _ in 0..50 {
        let store = Store::in_memory().unwrap();
        let bench = Bench::new(&store, Some(INBOX));
        let mut seat = bench.join().await;
        bench.script.deliver(0..1);
        let offers = batch(&mut seat).await;
        bench.shutdown.cancel();
        bench.pass(Duration::from_millis(1)).await;

        bench.results(&seat, acked(&offers)).await;
        seat.leave(Departure::Released);
        bench.task.await.unwrap();

        let log = store.inbox("sink", INBOX).await.unwrap();
        assert_eq!(log.read(0, 10, 1 << 20).await.unwrap(), []);
    }
}
