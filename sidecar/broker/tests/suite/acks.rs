//! What is not acked comes again; what is acked does not; the dispatcher never blocks.

use std::{collections::BTreeSet, time::Duration};

use danube_devbroker::Config;
use danube_sidecar_broker::{DetachReason, SubscriptionEvent};
use danube_sidecar_core::record::Record;
use danube_sidecar_store::Store;

use crate::support::*;

fn numbers(records: &[Record]) -> BTreeSet<u64> {
    records.iter().map(|record| payload(record).parse().unwrap()).collect()
}

#[tokio::test]
async fn unacked_records_come_again_after_a_restart_and_acked_ones_do_not() {
    let broker = Broker::any().await;
    let (cluster, store, topic) = (broker.cluster(), Store::in_memory().unwrap(), unique_topic());
    create_topic(&cluster, &topic, 0).await;
    let mut reader = Reader::attached(&cluster, subscription(&topic), &store, 1).await;
    publish_numbers(&*cluster.publisher(producer(&topic, 0)), 0..6).await;
    let first = reader.records(6).await;
    for record in first.iter().filter(|record| payload(record) < "3") {
        reader.ack(record);
    }
    reader.close().await;

    let mut reader = Reader::attached(&cluster, subscription(&topic), &store, 1).await;
    let again = reader.records(3).await;
    reader.drained().await;

    assert_eq!(numbers(&again), BTreeSet::from([3, 4, 5]));
    assert!(!reader.passed(|event| matches!(event, SubscriptionEvent::Delivered(_))));
    for record in &again {
        assert!(first.iter().any(|before| before.identity == record.identity));
    }
}

#[tokio::test]
async fn bursts_resolved_out_of_order_never_block_the_dispatcher() {
    let broker = Broker::any_with(odd(|oddities| oddities.highest_ack_blocks = true)).await;
    let (cluster, store, topic) = (broker.cluster(), Store::in_memory().unwrap(), unique_topic());
    create_topic(&cluster, &topic, 0).await;
    let mut reader = Reader::attached(&cluster, subscription(&topic), &store, 1).await;
    reader.drained().await;
    let publisher = cluster.publisher(producer(&topic, 0));

    for burst in 0..30 {
        publish_numbers(&*publisher, burst * 6..burst * 6 + 6).await;
        let records = reader.records(6).await;
        // The highest first, which a broker that is told so does not survive.
        for at in [5, 3, 1, 4, 0, 2] {
            reader.ack(&records[at]);
        }
    }
    reader.close().await;

    let mut reader = Reader::attached(&cluster, subscription(&topic), &store, 1).await;
    publish(&*publisher, message("the end")).await;
    assert_eq!(payload(&reader.record().await), "the end");
}

#[tokio::test]
async fn a_full_window_does_not_stop_the_records_behind_it() {
    let broker = Broker::any().await;
    let (cluster, store, topic) = (broker.cluster(), Store::in_memory().unwrap(), unique_topic());
    create_topic(&cluster, &topic, 0).await;
    let mut reader = Reader::attached(&cluster, subscription(&topic), &store, 1).await;
    publish_numbers(&*cluster.publisher(producer(&topic, 0)), 0..100).await;

    let mut seen = BTreeSet::new();
    while seen.len() < 100 {
        let record = reader.record().await;
        seen.insert(payload(&record).parse::<u64>().unwrap());
        reader.ack(&record);
    }
    assert_eq!(seen, (0..100).collect());
}

#[tokio::test]
async fn closing_has_the_outstanding_acks_answered() {
    let broker = Broker::any().await;
    let (cluster, store, topic) = (broker.cluster(), Store::in_memory().unwrap(), unique_topic());
    create_topic(&cluster, &topic, 0).await;
    let mut reader = Reader::attached(&cluster, subscription(&topic), &store, 1).await;
    reader.drained().await;
    publish_numbers(&*cluster.publisher(producer(&topic, 0)), 0..10).await;
    for record in reader.records(10).await.iter().rev() {
        reader.ack(record);
    }
    reader.close().await;

    let mut reader = Reader::attached(&cluster, subscription(&topic), &store, 1).await;
    reader.drained().await;
    assert!(!reader.passed(|event| matches!(event, SubscriptionEvent::Delivered(_))));
}

#[tokio::test]
async fn renewals_keep_a_slow_record_alive_over_many_ack_timeouts() {
    // A real broker ticks every 500 ms, and its policy is set through the admin API.
    let real = std::env::var_os("DANUBE_SERVICE_URL").is_some();
    let (ack_timeout, renewals) = if real { (6, 6) } else { (1, 12) };
    let ack_timeout = Duration::from_secs(ack_timeout);
    let odd = odd(|oddities| oddities.reconnects_spend_budget = true);
    let broker = Broker::any_with(Config { ack_timeout, ..odd }).await;
    let cluster = broker.cluster_with(|config| {
        config.ack_timeout = ack_timeout;
        // The embedded one knows it, and keeps its budget: a timeout would end it.
        config.admin_url = broker.admin_url().filter(|_| real);
    });
    let (store, topic) = (Store::in_memory().unwrap(), unique_topic());
    create_topic(&cluster, &topic, 0).await;
    let mut reader = Reader::attached(&cluster, subscription(&topic), &store, 1).await;
    publish(&*cluster.publisher(producer(&topic, 0)), message("slow")).await;

    let first = reader.record().await;
    for _renewal in 0..renewals {
        let renewed = async {
            assert_eq!(reader.detached().await, DetachReason::Renewal);
            assert_eq!(reader.record().await.identity, first.identity);
        };
        tokio::time::timeout(ack_timeout * 4, renewed).await.expect("the broker goes on");
    }
    reader.drained().await;
    reader.ack(&first);
    publish(&*cluster.publisher(producer(&topic, 0)), message("next")).await;

    while payload(&reader.record().await) != "next" {}
}
