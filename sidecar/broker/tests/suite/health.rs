//! A subscription stays well while the sidecar does, and what is not well is told.

use std::{
    collections::BTreeSet,
    sync::Arc,
    time::{Duration, Instant},
};

use danube_devbroker::{Config, DevBroker, FailurePolicy, Oddities};
use danube_sidecar_broker::{Cluster, DetachReason, SubscriptionEvent, Trouble};
use danube_sidecar_store::Store;
use tokio::sync::oneshot;

use crate::support::*;

const ACK_TIMEOUT: Duration = Duration::from_secs(1);

fn silent(topic: &Arc<str>) -> SubscriptionEvent {
    SubscriptionEvent::Detached { partition: Arc::clone(topic), reason: DetachReason::Silent }
}

fn blocked(topic: &Arc<str>) -> SubscriptionEvent {
    SubscriptionEvent::Trouble(Trouble::Blocked { partition: Arc::clone(topic) })
}

fn is_trouble(event: &SubscriptionEvent) -> bool {
    matches!(event, SubscriptionEvent::Trouble(_) | SubscriptionEvent::Gap { .. })
}

/// A broker whose ack timeout is short and whose budget is Danube's: a single passed
/// timeout after five attaches blocks the subscription for good.
fn trap() -> Config {
    let mut oddities = Oddities::danube_0_15();
    oddities.live_channel_skips = false;
    Config { oddities, ack_timeout: ACK_TIMEOUT, ..Config::for_tests() }
}

fn cluster_of(broker: &Broker) -> Cluster {
    cluster_at(&broker.url, |config| config.ack_timeout = ACK_TIMEOUT)
}

#[tokio::test(flavor = "multi_thread")]
async fn one_slow_record_is_held_for_20_ack_timeouts_while_its_neighbours_flow() {
    let broker = Broker::embedded(trap()).await;
    let (cluster, store, topic) =
        (cluster_of(&broker), Store::in_memory().unwrap(), unique_topic());
    create_topic(&cluster, &topic, 0).await;
    let mut reader = Reader::attached(&cluster, subscription(&topic), &store, 1).await;
    let publisher = cluster.publisher(producer(&topic, 0));
    publish(&*publisher, message("slow")).await;
    let slow = reader.record().await;

    let began = Instant::now();
    let mut number = 0;
    while began.elapsed() < 20 * ACK_TIMEOUT {
        publish(&*publisher, message(number.to_string())).await;
        loop {
            let record = reader.record().await;
            if record.identity == slow.identity {
                continue;
            }
            reader.ack(&record);
            if payload(&record) == number.to_string() {
                break;
            }
        }
        number += 1;
    }
    assert!(number > 200, "{number} neighbours");
    reader.drained().await;
    reader.ack(&slow);
    reader.close().await;

    let mut reader = Reader::attached(&cluster, subscription(&topic), &store, 1).await;
    publish(&*publisher, message("next")).await;
    while payload(&reader.record().await) != "next" {}
    assert!(!reader.passed(is_trouble));
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_restarts_in_a_row_with_unacked_records_lose_nothing_and_block_nothing() {
    let broker = Broker::embedded(trap()).await;
    let (topic, dir) = (unique_topic(), tempfile::tempdir().unwrap());
    let cluster = cluster_of(&broker);
    create_topic(&cluster, &topic, 0).await;
    let publisher = cluster.publisher(producer(&topic, 0));

    for restart in 0..10 {
        let store = Store::open(dir.path()).unwrap();
        let cluster = cluster_of(&broker);
        let mut reader = Reader::attached(&cluster, subscription(&topic), &store, 1).await;
        if restart == 0 {
            publish_numbers(&*publisher, 0..8).await;
        }
        reader.records(8).await;
        assert_eq!(reader.detached().await, DetachReason::Renewal);
        // As a kill would: nothing is acked, nothing is closed in order.
        drop(reader);
        cluster.shutdown().await;
    }

    let store = Store::open(dir.path()).unwrap();
    let mut reader = Reader::attached(&cluster, subscription(&topic), &store, 1).await;
    publish_numbers(&*publisher, 8..30).await;
    let mut seen = BTreeSet::new();
    while seen.len() < 30 {
        let record = reader.record().await;
        reader.ack(&record);
        seen.insert(payload(&record).parse::<u64>().unwrap());
    }
    assert!(!reader.passed(is_trouble));
}

#[tokio::test]
async fn a_quiet_topic_is_renewed_and_nothing_is_told_of_it() {
    let broker = Broker::any().await;
    let cluster = broker.cluster_with(|config| config.idle_renewal = Duration::from_millis(300));
    let (store, topic) = (Store::in_memory().unwrap(), unique_topic());
    create_topic(&cluster, &topic, 0).await;
    let mut reader = Reader::attached(&cluster, subscription(&topic), &store, 1).await;
    publish(&*cluster.publisher(producer(&topic, 0)), message("before")).await;
    let before = reader.record().await;
    reader.ack(&before);

    for _renewal in 0..5 {
        assert_eq!(reader.detached().await, DetachReason::Renewal);
    }
    publish(&*cluster.publisher(producer(&topic, 0)), message("after")).await;

    assert_eq!(payload(&reader.record().await), "after");
    assert!(!reader.passed(is_trouble));
}

#[tokio::test]
async fn a_spent_redelivery_budget_is_told_as_blocked_after_two_fruitless_attaches() {
    let mut config = odd(|oddities| oddities.reconnects_spend_budget = true);
    config.ack_timeout = Duration::from_millis(300);
    config.failure_policy.max_redeliveries = 1;
    config.failure_policy.base_delay = Duration::from_millis(10);
    let broker = Broker::embedded(config).await;
    // The operator told us a timeout that is not the broker's.
    let cluster = broker.cluster_with(|config| config.ack_timeout = Duration::from_secs(8));
    let (store, topic) = (Store::in_memory().unwrap(), unique_topic());
    create_topic(&cluster, &topic, 0).await;
    let mut reader = Reader::attached(&cluster, subscription(&topic), &store, 1).await;

    publish(&*cluster.publisher(producer(&topic, 0)), message("held")).await;

    reader.wait_for(|event| *event == silent(&topic)).await;
    reader.wait_for(|event| *event == silent(&topic)).await;
    reader.wait_for(|event| *event == blocked(&topic)).await;
}

/// A broker with a life of its own, which goes on while this thread stands still.
async fn broker_apart(config: Config) -> (String, Option<String>, oneshot::Sender<()>) {
    let (started, addresses) = oneshot::channel();
    let (stop, stopped) = oneshot::channel::<()>();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(async move {
            let broker = DevBroker::start(config).await.unwrap();
            started.send((broker.url(), broker.admin_url())).unwrap();
            let _ = stopped.await;
            broker.kill().await;
        });
    });
    let (url, admin_url) = addresses.await.unwrap();
    (url, admin_url, stop)
}

/// Publishes from another thread while this one stands still for several timeouts.
fn stand_still(url: &str, topic: &Arc<str>) {
    let (url, topic) = (url.to_owned(), Arc::clone(topic));
    let publishing = std::thread::spawn(move || {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(async move {
            let cluster = cluster_at(&url, |_| {});
            publish_numbers(&*cluster.publisher(producer(&topic, 0)), 0..3).await;
            tokio::time::sleep(4 * ACK_TIMEOUT).await;
        });
    });
    publishing.join().unwrap();
}

/// A subscription after its process stood still for longer than the budget.
async fn after_a_standstill(with_admin: bool) -> (Reader, Cluster, Arc<str>, oneshot::Sender<()>) {
    let failure_policy = FailurePolicy {
        max_redeliveries: 1,
        base_delay: Duration::from_millis(10),
        ..FailurePolicy::default()
    };
    let (url, admin_url, stop) = broker_apart(Config { failure_policy, ..trap() }).await;
    let cluster = cluster_at(&url, |config| {
        config.ack_timeout = ACK_TIMEOUT;
        config.drain_settle = Duration::from_millis(300);
        config.admin_url = admin_url.filter(|_| with_admin);
    });
    let (store, topic) = (Store::in_memory().unwrap(), unique_topic());
    create_topic(&cluster, &topic, 0).await;
    let mut reader = Reader::attached(&cluster, subscription(&topic), &store, 1).await;
    reader.drained().await;
    stand_still(&url, &topic);
    (reader, cluster, topic, stop)
}

#[tokio::test]
async fn a_process_that_stood_still_for_longer_than_the_budget_finds_the_subscription_blocked() {
    let (mut reader, _cluster, topic, _stop) = after_a_standstill(false).await;
    loop {
        match reader.read().await {
            // What the inbox does: the broker answers OK and drops the ack.
            SubscriptionEvent::Delivered(record) => reader.ack(&record),
            event if event == blocked(&topic) => break,
            _ => {}
        }
    }
}

#[tokio::test]
async fn with_a_generous_policy_a_standstill_does_no_harm() {
    let (mut reader, cluster, topic, _stop) = after_a_standstill(true).await;
    let mut seen = BTreeSet::new();
    while seen.len() < 3 {
        let record = reader.record().await;
        reader.ack(&record);
        seen.insert(payload(&record).to_owned());
    }
    publish(&*cluster.publisher(producer(&topic, 0)), message("next")).await;
    loop {
        let record = reader.record().await;
        reader.ack(&record);
        if payload(&record) == "next" {
            break;
        }
    }
    assert!(!reader.passed(is_trouble));
}
