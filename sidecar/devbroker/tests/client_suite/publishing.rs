//! Producers, topics and partitions.

use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

use danube_client::SubType;
use danube_core::proto::{DispatchStrategy, TopicLookupRequest, health_check_request::ClientType};
use tonic::Code;

use crate::support::{Fixture, send, text, topic};

#[tokio::test(flavor = "multi_thread")]
async fn a_message_reaches_an_exclusive_consumer_as_it_was_sent() {
    let fixture = Fixture::start().await;
    let topic = topic("round-trip");
    let producer = fixture.producer(&topic).await;
    let mut reader = fixture.consumer(&topic, "reader", SubType::Exclusive).await;

    let attributes = [("color".to_owned(), "red".to_owned())].into();
    producer.send(b"hello".to_vec(), Some(attributes)).await.unwrap();

    let message = reader.next().await;
    assert_eq!(message.payload.as_ref(), b"hello");
    assert_eq!(message.attributes["color"], "red");
    assert_eq!(message.producer_name, "producer");
    assert_eq!(message.msg_id.topic_name, topic);
    assert_eq!(message.msg_id.topic_offset, 0);
    reader.ack(&message).await;
    fixture.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_come_in_order_with_consecutive_offsets() {
    let fixture = Fixture::start().await;
    let topic = topic("order");
    let producer = fixture.producer(&topic).await;
    let mut reader = fixture.consumer(&topic, "reader", SubType::Exclusive).await;

    for number in 0..50_u64 {
        send(&producer, &number.to_string()).await;
        let message = reader.next().await;
        assert_eq!(text(&message), number.to_string());
        assert_eq!(message.msg_id.topic_offset, number);
        reader.ack(&message).await;
    }
    fixture.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_partitioned_topic_is_consumed_whole_and_a_key_stays_in_its_partition() {
    let fixture = Fixture::start().await;
    let topic = topic("partitions");
    let producer = fixture.producer_with(&topic, Some(3)).await;
    let mut reader = fixture.consumer(&topic, "reader", SubType::Exclusive).await;

    for number in 0..30 {
        let key = format!("key-{}", number % 5);
        producer.send_with_key(number.to_string().into(), None, &key).await.unwrap();
    }

    let mut partition_of = HashMap::new();
    let mut partitions = HashSet::new();
    for _ in 0..30 {
        let message = reader.next().await;
        reader.ack(&message).await;
        let key = message.routing_key.unwrap();
        let partition = message.msg_id.topic_name;
        assert!(partition.starts_with(&format!("{topic}-part-")), "{partition}");
        let first = partition_of.entry(key).or_insert_with(|| partition.clone());
        assert_eq!(*first, partition);
        partitions.insert(partition);
    }
    assert!(partitions.len() > 1);
    fixture.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_that_is_not_reliable_delivers_with_offset_zero_and_needs_no_acks() {
    let fixture = Fixture::start().await;
    let topic = topic("unreliable");
    let builder = fixture.client.new_producer().with_topic(&topic).with_name("producer");
    let mut producer = builder.build().unwrap();
    producer.create().await.unwrap();
    let mut reader = fixture.consumer(&topic, "reader", SubType::Shared).await;

    // danube-client's `receive` comes back before its stream is open; what is
    // published until then is lost by design.
    while reader.next_within(Duration::from_millis(100)).await.is_none() {
        send(&producer, "early").await;
    }

    for number in 0..20 {
        send(&producer, &number.to_string()).await;
        let mut message = reader.next().await;
        while text(&message) == "early" {
            message = reader.next().await;
        }
        assert_eq!((text(&message), message.msg_id.topic_offset), (number.to_string(), 0));
        reader.ack(&message).await;
    }
    fixture.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_is_reliable_or_not_for_all_producers() {
    let fixture = Fixture::start().await;
    let topic = topic("strategy");
    let raw = fixture.raw(&topic).await;
    raw.producer().await;
    let refused = raw.create_producer(DispatchStrategy::NonReliable).await;
    assert_eq!(refused.err().unwrap().code(), Code::FailedPrecondition);
    fixture.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_producer_name_keeps_its_id() {
    let fixture = Fixture::start().await;
    let raw = fixture.raw(&topic("same-name")).await;
    assert_eq!(raw.producer().await.id, raw.producer().await.id);
    fixture.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_namespace_is_unavailable_and_a_bad_name_invalid() {
    let fixture = Fixture::start().await;
    let raw = fixture.raw("/nowhere/topic").await;
    let refused = raw.create_producer(DispatchStrategy::Reliable).await.err().unwrap();
    assert_eq!(refused.code(), Code::Unavailable);
    let raw = fixture.raw("no-namespace").await;
    let refused = raw.create_producer(DispatchStrategy::Reliable).await.err().unwrap();
    assert_eq!(refused.code(), Code::InvalidArgument);
    fixture.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_producer_is_told_so() {
    let fixture = Fixture::start().await;
    let raw = fixture.raw(&topic("unknown-producer")).await;
    let mut producer = raw.producer().await;
    assert!(raw.is_healthy(ClientType::Producer, producer.id).await);
    producer.id ^= 1;
    assert!(!raw.is_healthy(ClientType::Producer, producer.id).await);
    let refused = producer.send(producer.message(1, "x")).await.unwrap_err();
    assert_eq!(refused.code(), Code::NotFound);
    fixture.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_answer_to_a_publish_is_its_request_id() {
    let fixture = Fixture::start().await;
    let producer = fixture.raw(&topic("request-id")).await.producer().await;
    assert_eq!(producer.send(producer.message(77, "x")).await.unwrap(), 77);
    fixture.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_just_under_four_mebibytes_goes_through_and_a_larger_one_does_not() {
    const LIMIT: usize = 4 * 1024 * 1024;
    let fixture = Fixture::start().await;
    let topic = topic("large");
    let producer = fixture.raw(&topic).await.producer().await;
    let mut reader = fixture.consumer(&topic, "reader", SubType::Exclusive).await;

    let refused = producer.send(producer.message(1, vec![0; LIMIT])).await.unwrap_err();
    assert_eq!(refused.code(), Code::OutOfRange);
    producer.send(producer.message(2, vec![7; LIMIT - 64 * 1024])).await.unwrap();
    let message = reader.next().await;
    assert_eq!(message.payload.len(), LIMIT - 64 * 1024);
    fixture.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lookup_finds_a_topic_and_not_one_that_is_missing() {
    let fixture = Fixture::start().await;
    let topic = topic("lookup");
    let raw = fixture.raw(&topic).await;
    let lookup = |topic: &str| TopicLookupRequest { request_id: 5, topic: topic.to_owned() };

    let missing = raw.discovery().topic_lookup(lookup(&topic)).await.unwrap_err();
    assert_eq!(missing.code(), Code::NotFound);
    let none = raw.discovery().topic_partitions(lookup(&topic)).await.unwrap().into_inner();
    assert_eq!((none.request_id, none.partitions), (5, vec![]));

    fixture.producer(&topic).await;
    let found = raw.discovery().topic_lookup(lookup(&topic)).await.unwrap().into_inner();
    assert!(found.connect_url.starts_with("http://"), "{found:?}");
    let one = raw.discovery().topic_partitions(lookup(&topic)).await.unwrap().into_inner();
    assert_eq!(one.partitions, [topic]);
    fixture.stop().await;
}
