//! Brokers and sidecars go away and come back.

use std::{collections::BTreeSet, net::SocketAddr, path::Path, sync::Arc, time::Duration};

use danube_devbroker::{Config, DevBroker};
use danube_sidecar_broker::{BrokerHealth, DetachReason, SubscriptionEvent};
use danube_sidecar_store::Store;
use futures::StreamExt;

use crate::support::*;

fn lasting(data_dir: &Path) -> Config {
    Config { data_dir: Some(data_dir.to_owned()), ..Config::for_tests() }
}

/// The same broker on the same address again.
async fn again(url: &str, data_dir: &Path) -> DevBroker {
    let listen: SocketAddr = url.trim_start_matches("http://").parse().unwrap();
    DevBroker::start(Config { listen, ..lasting(data_dir) }).await.unwrap()
}

#[tokio::test]
async fn a_subscription_resumes_after_its_broker_restarted() {
    let dir = tempfile::tempdir().unwrap();
    let broker = Broker::embedded(lasting(dir.path())).await;
    let (cluster, store, topic) = (broker.cluster(), Store::in_memory().unwrap(), unique_topic());
    create_topic(&cluster, &topic, 0).await;
    let mut reader = Reader::attached(&cluster, subscription(&topic), &store, 1).await;
    reader.drained().await;
    let publisher = cluster.publisher(producer(&topic, 0));
    publish_numbers(&*publisher, 0..8).await;
    let before = reader.records(8).await;

    let url = broker.url.clone();
    broker.shutdown().await;
    let reason = reader.detached().await;
    let _broker = again(&url, dir.path()).await;

    assert_ne!(reason, DetachReason::TakenOver);
    let mut repeated = BTreeSet::new();
    while repeated.len() < 8 {
        let record = reader.record().await;
        assert!(before.iter().any(|one| one.identity == record.identity), "{record:?}");
        repeated.insert(record.identity.offset);
        reader.ack(&record);
    }
    publish(&*publisher, message("after the restart")).await;
    while payload(&reader.record().await) != "after the restart" {}
    assert!(!reader.passed(|event| matches!(event, SubscriptionEvent::Gap { .. })));
}

#[tokio::test]
async fn a_publisher_survives_a_broker_that_is_killed() {
    let dir = tempfile::tempdir().unwrap();
    let broker = Broker::embedded(lasting(dir.path())).await;
    let (cluster, topic) = (broker.cluster(), unique_topic());
    let publisher = cluster.publisher(producer(&topic, 0));
    publish_numbers(&*publisher, 0..3).await;

    let url = broker.url.clone();
    broker.kill().await;
    let publishing = {
        let publisher = Arc::clone(&publisher);
        tokio::spawn(async move { publish(&*publisher, message("through the outage")).await })
    };
    let mut health = cluster.health();
    tokio::time::timeout(
        PATIENCE,
        health.wait_for(|health| matches!(health, BrokerHealth::Down { .. })),
    )
    .await
    .expect("the outage is noticed")
    .unwrap();
    let _broker = again(&url, dir.path()).await;

    publishing.await.unwrap();
}

#[tokio::test]
async fn lanes_keep_their_order_while_their_broker_is_killed_and_restarted() {
    const LANES: u64 = 4;
    const RECORDS: u64 = 60;
    let dir = tempfile::tempdir().unwrap();
    let broker = Broker::embedded(lasting(dir.path())).await;
    let (cluster, store, topic) = (broker.cluster(), Store::in_memory().unwrap(), unique_topic());
    create_topic(&cluster, &topic, 0).await;
    let mut reader = Reader::attached(&cluster, subscription(&topic), &store, 1).await;
    let publisher = cluster.publisher(producer(&topic, 0));
    let lanes: Vec<_> = (0..LANES)
        .map(|lane| {
            let publisher = Arc::clone(&publisher);
            tokio::spawn(async move {
                let numbers = (0..RECORDS).map(|number| lane * 1000 + number);
                for number in numbers {
                    publish(&*publisher, message(number.to_string())).await;
                }
            })
        })
        .collect();

    let (url, mut broker) = (broker.url.clone(), Some(broker));
    let (mut running, mut next) = (None, [0; LANES as usize]);
    while next.iter().any(|next| *next < RECORDS) {
        let record = reader.record().await;
        reader.ack(&record);
        let number: u64 = payload(&record).parse().unwrap();
        let (lane, number) = ((number / 1000) as usize, number % 1000);
        assert!(number <= next[lane], "{number} of lane {lane} came before {}", next[lane]);
        next[lane] = next[lane].max(number + 1);
        if next.iter().sum::<u64>() >= LANES * RECORDS / 3
            && let Some(broker) = broker.take()
        {
            broker.kill().await;
            running = Some(again(&url, dir.path()).await);
        }
    }
    assert!(running.is_some());
    for lane in lanes {
        lane.await.unwrap();
    }
}

#[tokio::test]
async fn a_restarted_sidecar_takes_up_its_consumer_again() {
    let broker = Broker::any_with(odd(|oddities| {
        oddities.exclusive_for_ever = true;
        oddities.subscribe_without_receive_blocks = true;
    }))
    .await;
    let (topic, dir) = (unique_topic(), tempfile::tempdir().unwrap());
    let key = format!("sub/Exclusive/sidecar-0@{topic}");
    let cluster = broker.cluster();
    create_topic(&cluster, &topic, 0).await;
    let publisher = cluster.publisher(producer(&topic, 0));
    let mut ids = BTreeSet::new();

    for restart in 0..3 {
        let store = Store::open(dir.path()).unwrap();
        let cluster = broker.cluster();
        let mut reader = Reader::attached(&cluster, subscription(&topic), &store, 1).await;
        ids.insert(store.consumer_id(&key).await.unwrap().unwrap());
        publish(&*publisher, message(restart.to_string())).await;
        while payload(&reader.record().await) != restart.to_string() {}
        // As a kill would: nothing is acked, nothing is closed in order.
        drop(reader);
        cluster.shutdown().await;
    }
    assert_eq!(ids.len(), 1);
}

#[tokio::test]
async fn a_consumer_that_died_between_subscribe_and_receive_is_healed() {
    let broker =
        Broker::any_with(odd(|oddities| oddities.subscribe_without_receive_blocks = true)).await;
    let (cluster, store, topic) = (broker.cluster(), Store::in_memory().unwrap(), unique_topic());
    create_topic(&cluster, &topic, 0).await;
    let id = register_only(&broker, &topic).await;
    store.keep_consumer_id(&format!("sub/Exclusive/sidecar-0@{topic}"), id).await.unwrap();
    let publishing = {
        let publisher = cluster.publisher(producer(&topic, 0));
        tokio::spawn(async move { publish_numbers(&*publisher, 0..60).await })
    };

    let mut reader = Reader::new(&cluster, subscription(&topic), &store);
    let mut seen = BTreeSet::new();
    while seen.len() < 60 {
        let record = reader.record().await;
        seen.insert(payload(&record).parse::<u64>().unwrap());
        reader.ack(&record);
    }
    publishing.await.unwrap();
}

#[tokio::test]
async fn two_sidecars_of_one_name_do_not_take_it_from_each_other_without_end() {
    let broker = Broker::any().await;
    let (cluster, topic) = (broker.cluster(), unique_topic());
    create_topic(&cluster, &topic, 0).await;
    let store = Store::in_memory().unwrap();
    let mut first = Reader::attached(&cluster, subscription(&topic), &store, 1).await;
    let other = Store::in_memory().unwrap();
    let mut second = Reader::attached(&cluster, subscription(&topic), &other, 1).await;

    assert_eq!(first.detached().await, DetachReason::TakenOver);
    let attaches = first
        .count_during(Duration::from_secs(5), |event| {
            matches!(event, SubscriptionEvent::Attached { .. })
        })
        .await;
    assert!((1..=3).contains(&attaches), "{attaches} attaches in 5 s");
    assert_eq!(second.detached().await, DetachReason::TakenOver);
}

#[tokio::test]
async fn start_in_any_order_a_broker_that_comes_later_is_found() {
    let dir = tempfile::tempdir().unwrap();
    let broker = Broker::embedded(lasting(dir.path())).await;
    let (url, topic) = (broker.url.clone(), unique_topic());
    create_topic(&broker.cluster(), &topic, 0).await;
    broker.shutdown().await;
    let cluster = cluster_at(&url, |_| {});
    let store = Store::in_memory().unwrap();
    let mut reader = Reader::new(&cluster, subscription(&topic), &store);
    let away = reader.subscription.next().await.unwrap();

    let _broker = again(&url, dir.path()).await;

    assert!(format!("{away:?}").contains("BrokerAway"), "{away:?}");
    reader.wait_for(|event| matches!(event, SubscriptionEvent::Attached { .. })).await;
}
