//! What an intake does with what arrives, one arrival at a time.

use std::{sync::Arc, time::Duration};

use danube_sidecar::{
    config::{Subscription, SubscriptionKind},
    intake::{Arrival, Buffers, Intake, Parts, Stored},
    metrics::SinkMetrics,
};
use danube_sidecar_broker::{DetachReason, SubscriptionEvent};
use danube_sidecar_core::{
    dispatch::{
        Dispatch, Event, Limits, OnExhausted, Ordering, RetryPolicy, Settings, WorkerId,
        WorkerSettings,
    },
    outcome::Results,
};
use danube_sidecar_store::{InboxSettings, Store, StoreError};
use tokio::time::timeout;

use crate::danube::{Script, TOPIC, subscription};

const INBOX: InboxSettings =
    InboxSettings { fsync: false, max_bytes: 1 << 20, retain: Duration::ZERO };

struct Bench {
    script: Script,
    store: Store,
    intake: Intake,
    dispatch: Dispatch,
    worker: WorkerId,
    metrics: SinkMetrics,
}

impl Bench {
    async fn new(inbox: Option<InboxSettings>, memory: usize) -> Self {
        Self::of(subscription(), inbox, memory).await
    }

    async fn of(wanted: Subscription, inbox: Option<InboxSettings>, memory: usize) -> Self {
        let (script, store) = (Script::default(), Store::in_memory().unwrap());
        let parts = Parts {
            connector: "sink".to_owned(),
            danube: Arc::new(script.clone()),
            store: store.clone(),
            inbox,
            subscriptions: vec![wanted],
            create_topics: false,
            broker_window: 1000,
            buffer: Arc::new(Buffers::new(memory).share()),
        };
        let intake = Intake::open(parts).await.unwrap();
        let mut dispatch = Dispatch::new(settings(), 1);
        let worker = dispatch.join(now(), WORKER);
        let metrics = SinkMetrics::new("sink");
        let mut bench = Self { script, store, intake, dispatch, worker, metrics };
        bench.script.attach();
        bench.step().await;
        bench
    }

    /// Takes in what arrives next, and all that is ready behind it.
    async fn step(&mut self) {
        let arrival = timeout(Duration::from_secs(60), self.intake.next()).await;
        let arrival = arrival.expect("something arrives");
        self.intake.arrived(arrival, &mut self.dispatch, &self.metrics);
    }

    fn turn(&mut self) {
        self.intake.turn(true, &mut self.dispatch);
    }

    /// What waits goes to the worker, which acks all of it.
    fn resolve_all(&mut self) {
        while let Some(batch) = self.dispatch.poll_batch(now(), self.worker) {
            let acked = batch.iter().map(|offer| (offer.delivery, offer.delivery)).collect();
            let results = Results { acked, failures: Vec::new() };
            self.dispatch.results(now(), self.worker, &results).unwrap();
        }
        while let Some(event) = self.dispatch.poll_event() {
            if let Event::Resolved { partition, offset, fingerprint, .. } = event {
                self.intake.resolved(&partition, offset, fingerprint);
            }
        }
    }
}

const WORKER: WorkerSettings = WorkerSettings {
    window: Limits { records: 1000, bytes: 16 << 20 },
    batch: Limits { records: 1000, bytes: 1 << 20 },
    linger: Duration::ZERO,
    probe: false,
};

fn settings() -> Settings {
    Settings {
        ordering: Ordering::Key,
        retry: RetryPolicy {
            max_retries: 3,
            initial_backoff: Duration::from_secs(1),
            max_backoff: Duration::from_secs(30),
            max_age: Duration::from_secs(24 * 3600),
            max_age_alone: Duration::from_secs(600),
        },
        on_exhausted: OnExhausted::DeadLetter,
        dead_letters: true,
        result_timeout: None,
        max_record_bytes: 1 << 20,
        remember: 1000,
    }
}

fn detached(reason: DetachReason) -> SubscriptionEvent {
    SubscriptionEvent::Detached { partition: TOPIC.into(), reason }
}

fn now() -> std::time::Instant {
    tokio::time::Instant::now().into_std()
}

#[tokio::test(start_paused = true)]
async fn a_message_is_acked_when_the_log_has_it_and_not_before() {
    let mut bench = Bench::new(Some(INBOX), 1 << 20).await;
    bench.script.deliver(0..2);
    bench.step().await;
    bench.turn();
    assert!(bench.script.acks().is_empty());

    bench.step().await;

    assert_eq!(bench.script.acks(), [0, 1]);
    let log = bench.store.inbox("sink", INBOX).await.unwrap();
    assert_eq!(log.read(0, 10, 1 << 20).await.unwrap().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn what_the_log_has_no_room_for_is_not_acked_and_goes_in_when_there_is_room() {
    let mut bench = Bench::new(Some(InboxSettings { max_bytes: 300, ..INBOX }), 1 << 20).await;
    for offset in 0..2 {
        bench.script.deliver(offset..offset + 1);
        bench.step().await;
        bench.turn();
        bench.step().await;
    }
    assert_eq!(bench.script.acks(), [0]);
    assert!(bench.intake.view().trouble.is_some());

    bench.resolve_all();
    while bench.script.acks() != [0, 1] {
        bench.turn();
        bench.step().await;
    }
    assert_eq!(bench.intake.view().trouble, None);
}

#[tokio::test(start_paused = true)]
async fn more_than_the_log_can_ever_hold_goes_in_bit_by_bit() {
    let mut bench = Bench::new(Some(InboxSettings { max_bytes: 300, ..INBOX }), 1 << 20).await;
    bench.script.deliver(0..20);
    bench.step().await;
    while bench.script.acks().len() < 20 {
        bench.turn();
        bench.step().await;
        bench.resolve_all();
    }
    assert_eq!(bench.script.acks(), (0..20).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn nothing_may_be_offered_until_what_is_resolved_is_written() {
    let mut bench = Bench::new(Some(INBOX), 1 << 20).await;
    bench.script.deliver(0..1);
    bench.step().await;
    bench.turn();
    bench.step().await;
    assert!(bench.intake.may_offer());

    bench.resolve_all();
    assert!(!bench.intake.may_offer());
    bench.turn();
    assert!(!bench.intake.may_offer());
    bench.step().await;

    assert!(bench.intake.may_offer());
    let log = bench.store.inbox("sink", INBOX).await.unwrap();
    assert_eq!(log.read(0, 10, 1 << 20).await.unwrap(), []);
}

#[tokio::test(start_paused = true)]
async fn what_there_is_no_memory_for_stays_in_the_log() {
    let mut bench = Bench::new(Some(INBOX), 10_000).await;
    for offset in 0..200 {
        bench.script.deliver(offset..offset + 1);
        bench.step().await;
        bench.turn();
        bench.step().await;
    }
    assert_eq!(bench.intake.view().inbox.unwrap().records, 200);
    assert!(bench.dispatch.held().records <= 20, "{:?}", bench.dispatch.held());
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_breaks_forgets_nothing_and_a_detach_that_was_asked_for_what_waits() {
    let mut bench = Bench::new(None, 1 << 20).await;
    bench.script.deliver(0..3);
    bench.step().await;
    bench.script.say(detached(DetachReason::BrokerGone));
    bench.step().await;
    assert_eq!(bench.dispatch.held().records, 3);

    bench.intake.turn(false, &mut bench.dispatch);
    assert!(bench.script.is_let_go());
    bench.script.say(detached(DetachReason::Asked));
    bench.step().await;
    assert_eq!(bench.dispatch.held().records, 0);
}

#[tokio::test(start_paused = true)]
async fn a_connector_that_stands_still_has_nothing_fetched_again() {
    let mut bench = Bench::new(None, 20_000).await;
    bench.script.deliver(0..40);
    bench.step().await;
    bench.turn();
    assert!(bench.script.is_let_go());

    bench.script.say(detached(DetachReason::Asked));
    bench.step().await;
    tokio::time::advance(Duration::from_secs(3600)).await;
    bench.turn();

    assert!(bench.script.is_let_go());
    assert_eq!(bench.dispatch.held().records, 40);

    bench.resolve_all();
    bench.turn();
    assert!(!bench.script.is_let_go());
}

#[tokio::test(start_paused = true)]
async fn what_there_is_no_memory_for_goes_back_to_a_shared_subscription() {
    let wanted = Subscription { kind: SubscriptionKind::Shared, ..subscription() };
    let mut bench = Bench::of(wanted, None, 20_000).await;
    bench.script.deliver(0..40);
    bench.step().await;
    bench.turn();

    bench.script.say(detached(DetachReason::Asked));
    bench.step().await;
    bench.turn();
    assert!(bench.script.is_let_go());
    assert_eq!(bench.dispatch.held().records, 0);

    let due = bench.intake.next_wakeup().unwrap() - now();
    assert_eq!(due, Duration::from_secs(1));
    tokio::time::advance(due).await;
    bench.turn();
    assert!(!bench.script.is_let_go());
}

#[tokio::test(start_paused = true)]
async fn every_message_that_the_broker_passed_over_is_shown() {
    let mut bench = Bench::new(None, 1 << 20).await;
    bench.script.say(SubscriptionEvent::Gap { partition: TOPIC.into(), first: 3, last: 5 });
    bench.step().await;
    assert_eq!(bench.intake.view().gaps, 3);
    bench.script.say(SubscriptionEvent::GapFilled { partition: TOPIC.into(), offset: 4 });
    bench.step().await;
    assert_eq!(bench.intake.view().gaps, 2);
}

#[tokio::test(start_paused = true)]
async fn in_pass_through_a_message_is_acked_when_it_is_resolved_and_its_repeat_again() {
    let mut bench = Bench::new(None, 1 << 20).await;
    bench.script.deliver(0..1);
    bench.step().await;
    assert!(bench.script.acks().is_empty());
    bench.resolve_all();
    assert_eq!(bench.script.acks(), [0]);

    bench.script.attach();
    bench.script.deliver(0..1);
    bench.step().await;
    assert_eq!(bench.script.acks(), [0, 0]);
}

#[tokio::test(start_paused = true)]
async fn a_burst_is_taken_in_whole() {
    let mut bench = Bench::new(None, 16 << 20).await;
    bench.script.deliver(0..3000);
    for _ in 0..3 {
        bench.step().await;
        bench.turn();
        bench.resolve_all();
    }

    let mut acks = bench.script.acks();
    acks.sort_unstable();
    assert_eq!(acks, (0..3000).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn an_append_that_failed_after_it_was_written_stops_nothing() {
    let mut bench = Bench::new(Some(INBOX), 1 << 20).await;
    bench.script.deliver(0..2);
    bench.step().await;
    bench.turn();
    let arrival = bench.intake.next().await;
    let Arrival::Stored(Stored::Appended(records, Ok(_))) = arrival else { panic!("not appended") };
    let failed = Stored::Appended(records, Err(StoreError::Gone { path: "/disk".into() }));
    bench.intake.arrived(Arrival::Stored(failed), &mut bench.dispatch, &bench.metrics);
    bench.turn();
    assert!(bench.script.is_let_go() && bench.script.acks().is_empty());

    bench.step().await;
    bench.turn();

    assert_eq!(bench.script.acks(), [0, 1]);
    assert!(!bench.script.is_let_go() && bench.intake.view().trouble.is_none());
    bench.resolve_all();
    bench.script.deliver(2..3);
    bench.step().await;
    bench.turn();
    bench.step().await;
    assert_eq!(bench.script.acks(), [0, 1, 2]);
}

#[tokio::test(start_paused = true)]
async fn what_was_in_the_log_after_all_does_not_keep_the_broker_let_go_of() {
    let mut bench = Bench::new(Some(INBOX), 3000).await;
    bench.script.deliver(0..20);
    bench.step().await;
    bench.turn();
    let arrival = bench.intake.next().await;
    let Arrival::Stored(Stored::Appended(records, Ok(_))) = arrival else { panic!("not appended") };
    let failed = Stored::Appended(records, Err(StoreError::Gone { path: "/disk".into() }));
    bench.intake.arrived(Arrival::Stored(failed), &mut bench.dispatch, &bench.metrics);
    bench.turn();
    bench.step().await;

    bench.turn();

    assert_eq!(bench.script.acks().len(), 20);
    assert!(!bench.script.is_let_go());
}
