//! What any Danube client may rely on. Runs on the embedded broker and, with
//! DANUBE_SERVICE_URL (and DANUBE_ADMIN_URL), unchanged on a real one.

mod support;

use danube_client::SubType;
use support::{Fixture, send, send_all, topic};

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
        assert_eq!(support::text(&message), number.to_string());
        assert_eq!(message.msg_id.topic_offset, number);
        reader.ack(&message).await;
    }
    fixture.stop().await;
}

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
