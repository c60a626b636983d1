//! Records go out and come in, on an embedded broker or the one that
//! DANUBE_SERVICE_URL names.

use std::collections::{HashMap, HashSet};

use crate::support::*;
use danube_sidecar_broker::{Outbound, PublishError};
use danube_sidecar_store::Store;

#[tokio::test]
async fn what_is_published_is_delivered_with_key_and_attributes() {
    let broker = Broker::any().await;
    let (cluster, store, topic) = (broker.cluster(), Store::in_memory().unwrap(), unique_topic());
    create_topic(&cluster, &topic, 0).await;
    let mut reader = Reader::attached(&cluster, subscription(&topic), &store, 1).await;

    let publisher = cluster.publisher(producer(&topic, 0));
    let sent = Outbound {
        key: Some("berlin".into()),
        attributes: vec![("kind".to_owned(), "flight".to_owned())],
        ..message("hello")
    };
    publish(&*publisher, sent).await;

    let record = reader.record().await;
    assert_eq!(payload(&record), "hello");
    assert_eq!(record.key.as_deref(), Some("berlin"));
    assert_eq!(record.attributes["kind"], "flight");
    assert_eq!(record.topic, topic);
    assert_eq!(record.identity.partition, topic);
    assert_eq!(&*record.identity.producer, "shop");
}

#[tokio::test]
async fn records_of_one_key_stay_on_one_partition_and_in_order() {
    let broker = Broker::any().await;
    let (cluster, store, topic) = (broker.cluster(), Store::in_memory().unwrap(), unique_topic());
    create_topic(&cluster, &topic, 4).await;
    let mut reader = Reader::attached(&cluster, subscription(&topic), &store, 4).await;

    let publisher = cluster.publisher(producer(&topic, 4));
    for number in 0..200 {
        let key = Some(format!("key-{}", number % 20).into());
        publish(&*publisher, Outbound { key, ..message(number.to_string()) }).await;
    }

    let mut by_key: HashMap<String, (HashSet<String>, Vec<u64>)> = HashMap::new();
    for _ in 0..200 {
        let record = reader.record().await;
        reader.ack(&record);
        let (partitions, numbers) =
            by_key.entry(record.key.as_deref().unwrap().to_owned()).or_default();
        partitions.insert(record.identity.partition.to_string());
        numbers.push(payload(&record).parse().unwrap());
    }
    assert_eq!(by_key.len(), 20);
    for (key, (partitions, numbers)) in by_key {
        assert_eq!(partitions.len(), 1, "{key}");
        assert!(numbers.is_sorted() && numbers.len() == 10, "{key}: {numbers:?}");
    }
}

#[tokio::test]
async fn a_window_of_one_lets_records_through_one_by_one() {
    let mut config = odd(|oddities| {
        oddities.highest_ack_blocks = true;
        oddities.unread_consumer_blocks = true;
    });
    config.max_unacked_messages = 1;
    let broker = Broker::embedded(config).await;
    let (cluster, store, topic) = (broker.cluster(), Store::in_memory().unwrap(), unique_topic());
    create_topic(&cluster, &topic, 0).await;
    let mut reader = Reader::attached(&cluster, subscription(&topic), &store, 1).await;
    publish_numbers(&*cluster.publisher(producer(&topic, 0)), 0..50).await;

    for number in 0..50 {
        let record = reader.record().await;
        assert_eq!(payload(&record), number.to_string());
        reader.ack(&record);
    }
}

#[tokio::test]
async fn records_without_a_key_are_spread_over_the_partitions() {
    let broker = Broker::any().await;
    let (cluster, store, topic) = (broker.cluster(), Store::in_memory().unwrap(), unique_topic());
    create_topic(&cluster, &topic, 4).await;
    let mut reader = Reader::attached(&cluster, subscription(&topic), &store, 4).await;

    publish_numbers(&*cluster.publisher(producer(&topic, 4)), 0..8).await;

    let records = reader.records(8).await;
    let partitions: HashSet<_> =
        records.iter().map(|record| record.identity.partition.clone()).collect();
    assert_eq!(partitions.len(), 4);
}

#[tokio::test]
async fn a_message_above_the_limit_is_refused_and_the_largest_one_arrives() {
    const LARGEST: usize = 4 * 1024 * 1024 - 65 * 1024;
    let broker = Broker::any().await;
    let (cluster, store, topic) = (broker.cluster(), Store::in_memory().unwrap(), unique_topic());
    create_topic(&cluster, &topic, 0).await;
    let mut reader = Reader::attached(&cluster, subscription(&topic), &store, 1).await;
    let publisher = cluster.publisher(producer(&topic, 0));

    let refused = publisher.publish(message("x".repeat(4 * 1024 * 1024))).await;
    publish(&*publisher, message("x".repeat(LARGEST))).await;

    assert!(matches!(refused, Err(PublishError::TooLarge { .. })), "{refused:?}");
    assert_eq!(reader.record().await.payload.len(), LARGEST);
}

#[tokio::test]
async fn request_ids_of_a_producer_name_do_not_come_twice() {
    let broker = Broker::any().await;
    let (cluster, store, topic) = (broker.cluster(), Store::in_memory().unwrap(), unique_topic());
    create_topic(&cluster, &topic, 0).await;
    let mut reader = Reader::attached(&cluster, subscription(&topic), &store, 1).await;

    for _restart in 0..2 {
        publish_numbers(&*cluster.publisher(producer(&topic, 0)), 0..5).await;
    }

    let records = reader.records(10).await;
    let ids: HashSet<u64> = records.iter().map(|record| record.identity.request_id).collect();
    assert_eq!(ids.len(), 10);
}
