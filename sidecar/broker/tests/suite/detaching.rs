//! Detached, no clock runs at the broker, and nothing is lost.

use std::{collections::BTreeSet, time::Duration};

use danube_devbroker::Config;
use danube_sidecar_broker::{DetachReason, Marks, SubscriptionEvent, SubscriptionSpec};
use danube_sidecar_store::Store;

use crate::support::*;

fn is_delivery(event: &SubscriptionEvent) -> bool {
    matches!(event, SubscriptionEvent::Delivered(_))
}

#[tokio::test]
async fn detached_for_120_ack_timeouts_a_subscription_keeps_its_records_and_its_budget() {
    let mut config = odd(|oddities| {
        oddities.reconnects_spend_budget = true;
        oddities.detached_acks_dropped = true;
    });
    config.ack_timeout = Duration::from_millis(100);
    let absence = 120 * config.ack_timeout;
    let broker = Broker::embedded(config).await;
    let (cluster, store, topic) = (broker.cluster(), Store::in_memory().unwrap(), unique_topic());
    create_topic(&cluster, &topic, 0).await;
    let mut reader = Reader::attached(&cluster, subscription(&topic), &store, 1).await;
    publish_numbers(&*cluster.publisher(producer(&topic, 0)), 0..5).await;
    let first = reader.record().await;

    reader.subscription.detach();
    assert_eq!(reader.detached().await, DetachReason::Asked);
    reader.ack(&first);
    reader.forget_passed();
    assert_eq!(reader.count_during(absence, |_| true).await, 0);
    reader.subscription.attach();

    let mut again = BTreeSet::new();
    while again.len() < 5 {
        let record = reader.record().await;
        reader.ack(&record);
        again.insert(payload(&record).to_owned());
    }
    publish(&*cluster.publisher(producer(&topic, 0)), message("next")).await;
    while payload(&reader.record().await) != "next" {}
}

#[tokio::test]
async fn acks_given_before_a_detach_reach_the_broker() {
    let broker = Broker::any().await;
    let (cluster, store, topic) = (broker.cluster(), Store::in_memory().unwrap(), unique_topic());
    create_topic(&cluster, &topic, 0).await;
    let mut reader = Reader::attached(&cluster, subscription(&topic), &store, 1).await;
    reader.drained().await;
    publish_numbers(&*cluster.publisher(producer(&topic, 0)), 0..10).await;
    for record in reader.records(10).await.iter().rev() {
        reader.ack(record);
    }

    reader.subscription.detach();
    assert_eq!(reader.detached().await, DetachReason::Asked);
    reader.subscription.attach();

    reader.drained().await;
    assert!(!reader.passed(is_delivery));
}

#[tokio::test]
async fn a_subscription_that_starts_detached_begins_there_all_the_same() {
    let broker = Broker::any().await;
    let (cluster, store, topic) = (broker.cluster(), Store::in_memory().unwrap(), unique_topic());
    create_topic(&cluster, &topic, 0).await;
    let mut reader = Reader::new(&cluster, subscription(&topic), &store);
    reader.subscription.detach();
    assert_eq!(reader.detached().await, DetachReason::Asked);

    publish_numbers(&*cluster.publisher(producer(&topic, 0)), 0..3).await;
    reader.subscription.attach();

    assert_eq!(reader.records(3).await.iter().map(payload).collect::<Vec<_>>(), ["0", "1", "2"]);
}

#[tokio::test]
async fn a_broker_that_comes_back_finds_a_detached_subscription_detached() {
    let dir = tempfile::tempdir().unwrap();
    let lasting = Config { data_dir: Some(dir.path().to_owned()), ..Config::for_tests() };
    let broker = Broker::embedded(lasting.clone()).await;
    let (cluster, store, topic) = (broker.cluster(), Store::in_memory().unwrap(), unique_topic());
    create_topic(&cluster, &topic, 0).await;
    let mut reader = Reader::attached(&cluster, subscription(&topic), &store, 1).await;
    reader.drained().await;
    publish_numbers(&*cluster.publisher(producer(&topic, 0)), 0..3).await;
    reader.records(3).await;
    let listen = broker.url.trim_start_matches("http://").parse().unwrap();
    broker.shutdown().await;

    reader.detached().await;
    reader.subscription.detach();
    let _broker = Broker::embedded(Config { listen, ..lasting }).await;
    publish(&*cluster.publisher(producer(&topic, 0)), message("3")).await;
    let attaches = |event: &SubscriptionEvent| matches!(event, SubscriptionEvent::Attached { .. });
    assert_eq!(reader.count_during(Duration::from_millis(300), attaches).await, 0);
    reader.subscription.attach();

    let mut seen = BTreeSet::new();
    while seen.len() < 4 {
        seen.insert(payload(&reader.record().await).to_owned());
    }
}

#[tokio::test]
async fn events_stay_well_formed_however_often_it_is_detached_and_attached() {
    let broker = Broker::embedded(odd(|oddities| {
        oddities.highest_ack_blocks = true;
        oddities.reconnects_spend_budget = true;
        oddities.detached_acks_dropped = true;
    }))
    .await;
    let (cluster, store, topic) = (broker.cluster(), Store::in_memory().unwrap(), unique_topic());
    create_topic(&cluster, &topic, 0).await;
    let spec = SubscriptionSpec { marks: Marks::Caller, ..subscription(&topic) };
    let mut reader = Reader::new(&cluster, spec, &store);
    reader.subscription.detach();
    assert_eq!(reader.detached().await, DetachReason::Asked);
    publish_numbers(&*cluster.publisher(producer(&topic, 0)), 0..100).await;

    let (mut attached, mut drained, mut seen) = (false, false, BTreeSet::new());
    reader.subscription.attach();
    for step in 0.. {
        if seen.len() == 100 {
            break;
        }
        match reader.read().await {
            SubscriptionEvent::Attached { .. } => {
                assert!(!attached);
                (attached, drained) = (true, false);
            }
            SubscriptionEvent::Detached { .. } => {
                assert!(attached);
                attached = false;
            }
            SubscriptionEvent::Drained { .. } => {
                assert!(attached && !drained);
                drained = true;
            }
            SubscriptionEvent::Delivered(record) => {
                assert!(attached);
                reader.ack(&record);
                seen.insert(payload(&record).to_owned());
            }
            other => panic!("{other:?}"),
        }
        match step % 9 {
            4 => reader.subscription.detach(),
            5 => reader.subscription.attach(),
            _ => {}
        }
    }
}
