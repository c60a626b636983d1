//! One consumer: subscribing, reading, acking.

use danube_client::SubType;
use danube_core::proto::health_check_request::ClientType;
use tonic::Code;

use crate::support::{Fixture, send, send_all, topic};

#[tokio::test(flavor = "multi_thread")]
async fn a_new_subscription_starts_at_the_latest_message() {
    let fixture = Fixture::start().await;
    let topic = topic("latest");
    let producer = fixture.producer(&topic).await;
    send_all(&producer, ["before".to_owned()]).await;

    let mut reader = fixture.consumer(&topic, "reader", SubType::Exclusive).await;
    send(&producer, "after").await;

    assert_eq!(reader.next_acked().await, "after");
    fixture.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_more_than_the_window_is_out_until_something_is_acked() {
    let fixture = Fixture::start().await;
    let topic = topic("window");
    let raw = fixture.raw(&topic).await;
    let producer = raw.producer().await;
    let consumer = raw.subscribe("reader").await;
    let mut stream = consumer.receive().await;
    producer.send_numbers(0..12).await;

    assert_eq!(stream.offsets(10).await, (0..10).collect::<Vec<_>>());
    assert!(stream.stays_quiet().await);
    consumer.ack(0).await;
    assert_eq!(stream.offset().await, 10);
    fixture.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn acks_may_come_out_of_order() {
    let fixture = Fixture::start().await;
    let topic = topic("out-of-order");
    let raw = fixture.raw(&topic).await;
    let producer = raw.producer().await;
    let consumer = raw.subscribe("reader").await;
    let mut stream = consumer.receive().await;
    producer.send_numbers(0..5).await;
    stream.offsets(5).await;

    for offset in [2, 0, 3, 1] {
        consumer.ack(offset).await;
    }
    let mut stream = consumer.reopen(stream).await;
    assert_eq!(stream.offset().await, 4);
    assert!(stream.stays_quiet().await);
    fixture.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ack_or_nack_of_something_not_in_flight_is_ok_and_does_nothing() {
    let fixture = Fixture::start().await;
    let topic = topic("late-ack");
    let raw = fixture.raw(&topic).await;
    let producer = raw.producer().await;
    let consumer = raw.subscribe("reader").await;
    let mut stream = consumer.receive().await;

    consumer.ack(1000).await;
    consumer.nack(1000, None).await;
    producer.send_numbers(0..1).await;
    assert_eq!(stream.offset().await, 0);
    consumer.ack(0).await;
    consumer.ack(0).await;
    assert!(stream.stays_quiet().await);
    fixture.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_consumer_does_not_make_a_missing_topic() {
    let fixture = Fixture::start().await;
    let topic = topic("missing");
    let refused = fixture.try_consumer(&topic, "reader", SubType::Exclusive).await;
    assert!(refused.is_err());
    let raw = fixture.raw(&topic).await;
    let refused = raw.try_subscribe("reader", Default::default()).await.err().unwrap();
    assert_eq!(refused.code(), Code::NotFound);
    fixture.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_consumer_is_told_so() {
    let fixture = Fixture::start().await;
    let topic = topic("unknown-consumer");
    let raw = fixture.raw(&topic).await;
    raw.producer().await;
    let mut consumer = raw.subscribe("reader").await;
    consumer.id ^= 1;
    assert_eq!(consumer.try_receive().await.err().unwrap().code(), Code::NotFound);
    assert!(!raw.is_healthy(ClientType::Consumer, consumer.id).await);
    fixture.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_consumer_is_healthy_until_its_stream_closes() {
    let fixture = Fixture::start().await;
    let topic = topic("health");
    let raw = fixture.raw(&topic).await;
    raw.producer().await;
    let consumer = raw.subscribe("reader").await;
    assert!(raw.is_healthy(ClientType::Consumer, consumer.id).await);
    let stream = consumer.receive().await;
    assert!(raw.is_healthy(ClientType::Consumer, consumer.id).await);
    consumer.close(stream).await;
    let _stream = consumer.receive().await;
    assert!(raw.is_healthy(ClientType::Consumer, consumer.id).await);
    fixture.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_exclusive_subscription_refuses_a_second_name() {
    let fixture = Fixture::start().await;
    let topic = topic("exclusive");
    let raw = fixture.raw(&topic).await;
    raw.producer().await;
    let first = raw.subscribe("first").await;
    let refused = raw.try_subscribe("second", Default::default()).await.err().unwrap();
    assert_eq!(refused.code(), Code::PermissionDenied);
    let _stream = first.receive().await;
    let refused = raw.try_subscribe("second", Default::default()).await.err().unwrap();
    assert_eq!(refused.code(), Code::PermissionDenied);
    fixture.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn subscribing_again_with_the_same_name_ends_the_old_stream() {
    let fixture = Fixture::start().await;
    let topic = topic("takeover");
    let raw = fixture.raw(&topic).await;
    let producer = raw.producer().await;
    let old = raw.subscribe("reader").await;
    let mut old_stream = old.receive().await;

    let new = raw.subscribe("reader").await;
    assert_eq!(new.id, old.id);
    assert!(old_stream.ends().await);
    let mut stream = new.receive().await;
    producer.send_numbers(0..1).await;
    assert_eq!(stream.offset().await, 0);
    fixture.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_subscriptions_each_get_every_message() {
    let fixture = Fixture::start().await;
    let topic = topic("two");
    let producer = fixture.producer(&topic).await;
    let mut readers = Vec::new();
    for name in ["one", "two"] {
        let builder = fixture.client.new_consumer().with_topic(&topic).with_consumer_name(name);
        let mut consumer = builder.with_subscription(name).build().unwrap();
        consumer.subscribe().await.unwrap();
        let messages = consumer.receive().await.unwrap();
        readers.push((consumer, messages));
    }
    send(&producer, "both").await;
    for (consumer, messages) in &mut readers {
        let message = messages.recv().await.unwrap();
        assert_eq!(message.payload.as_ref(), b"both");
        consumer.ack(&message).await.unwrap();
    }
    fixture.stop().await;
}
