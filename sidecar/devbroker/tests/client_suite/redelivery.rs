//! Messages that were not acked come again.

use std::time::Duration;

use danube_client::SubType;
use tokio::time::Instant;

use crate::support::{Fixture, send, text, topic};

#[tokio::test(flavor = "multi_thread")]
async fn what_a_consumer_left_unacked_comes_again_when_it_subscribes_again() {
    let fixture = Fixture::start().await;
    let topic = topic("resubscribe");
    let producer = fixture.producer(&topic).await;
    let mut reader = fixture.consumer(&topic, "reader", SubType::Exclusive).await;
    for payload in ["acked", "unacked"] {
        send(&producer, payload).await;
    }
    assert_eq!(reader.next_acked().await, "acked");
    assert_eq!(reader.next_text().await, "unacked");
    reader.close().await;

    let mut reader = fixture.consumer(&topic, "reader", SubType::Exclusive).await;
    assert_eq!(reader.next_acked().await, "unacked");
    assert!(reader.stays_quiet().await);
    fixture.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_opened_again_with_the_same_id_gets_what_is_in_flight() {
    let fixture = Fixture::start().await;
    let topic = topic("renew");
    let raw = fixture.raw(&topic).await;
    let producer = raw.producer().await;
    let consumer = raw.subscribe("reader").await;
    let mut stream = consumer.receive().await;
    producer.send_numbers(0..5).await;
    assert_eq!(stream.offsets(5).await, [0, 1, 2, 3, 4]);
    consumer.ack(0).await;

    for _ in 0..3 {
        stream = consumer.reopen(stream).await;
        assert_eq!(stream.offsets(4).await, [1, 2, 3, 4]);
    }
    for offset in 1..5 {
        consumer.ack(offset).await;
    }
    producer.send_numbers(5..6).await;
    assert_eq!(stream.offset().await, 5);
    fixture.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_for_its_redelivery_comes_at_once_and_in_order_on_a_new_stream() {
    let fixture = Fixture::start().await;
    let topic = topic("renew-waiting");
    let raw = fixture.raw(&topic).await;
    let producer = raw.producer().await;
    let consumer = raw.subscribe("reader").await;
    let mut stream = consumer.receive().await;
    producer.send_numbers(0..3).await;
    assert_eq!(stream.offsets(3).await, [0, 1, 2]);
    consumer.nack(1, Some(50_000)).await;

    stream = consumer.reopen(stream).await;
    assert_eq!(stream.offsets(3).await, [0, 1, 2]);
    fixture.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_published_while_detached_comes_after_what_was_in_flight() {
    let fixture = Fixture::start().await;
    let topic = topic("detached");
    let raw = fixture.raw(&topic).await;
    let producer = raw.producer().await;
    let consumer = raw.subscribe("reader").await;
    let mut stream = consumer.receive().await;
    producer.send_numbers(0..2).await;
    stream.offsets(2).await;
    consumer.close(stream).await;

    producer.send_numbers(2..4).await;
    let mut stream = consumer.receive().await;
    assert_eq!(stream.offsets(4).await, [0, 1, 2, 3]);
    fixture.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_nacked_message_comes_again_after_the_delay_asked_for() {
    let fixture = Fixture::start().await;
    let topic = topic("nack");
    let producer = fixture.producer(&topic).await;
    let mut reader = fixture.consumer(&topic, "reader", SubType::Exclusive).await;
    send(&producer, "again").await;
    let message = reader.next().await;

    let nacked_at = Instant::now();
    reader.consumer.nack(&message, Some(1500), Some("not yet".into())).await.unwrap();
    let again = reader.next().await;
    assert_eq!(text(&again), "again");
    assert_eq!(again.msg_id.topic_offset, message.msg_id.topic_offset);
    assert!(nacked_at.elapsed() >= Duration::from_millis(1490), "{:?}", nacked_at.elapsed());
    reader.ack(&again).await;
    fixture.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn other_messages_flow_while_one_waits_for_its_redelivery() {
    let fixture = Fixture::start().await;
    let topic = topic("nack-others");
    let raw = fixture.raw(&topic).await;
    let producer = raw.producer().await;
    let consumer = raw.subscribe("reader").await;
    let mut stream = consumer.receive().await;
    producer.send_numbers(0..2).await;
    stream.offsets(2).await;
    consumer.nack(0, None).await;
    producer.send_numbers(2..3).await;
    assert_eq!(stream.offsets(2).await, [2, 0]);
    fixture.stop().await;
}
