//! Several consumers on one subscription.

use std::collections::{BTreeSet, HashMap};

use danube_client::SubType;

use crate::support::{Fixture, Reader, send, send_all, text, topic};

#[tokio::test(flavor = "multi_thread")]
async fn shared_consumers_take_turns_and_each_message_goes_to_one() {
    let fixture = Fixture::start().await;
    let topic = topic("shared");
    let producer = fixture.producer(&topic).await;
    let mut one = fixture.consumer(&topic, "one", SubType::Shared).await;
    let mut two = fixture.consumer(&topic, "two", SubType::Shared).await;
    send_all(&producer, (0..10).map(|n| n.to_string())).await;

    let mut got = one.drain(5).await;
    got.extend(two.drain(5).await);
    let got: BTreeSet<_> = got.into_iter().collect();
    assert_eq!(got, (0..10).map(|n| n.to_string()).collect());
    assert!(one.stays_quiet().await && two.stays_quiet().await);
    fixture.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_shared_consumer_held_goes_to_the_others_when_it_leaves() {
    let fixture = Fixture::start().await;
    let topic = topic("shared-leave");
    let producer = fixture.producer(&topic).await;
    let mut leaver = fixture.consumer(&topic, "leaver", SubType::Shared).await;
    let mut stayer = fixture.consumer(&topic, "stayer", SubType::Shared).await;
    send_all(&producer, (0..4).map(|n| n.to_string())).await;
    let held = [leaver.next_text().await, leaver.next_text().await];
    // Acked only at the end: a real broker may stand still after the highest ack.
    let mut got = vec![stayer.next().await, stayer.next().await];
    leaver.close().await;

    got.extend([stayer.next().await, stayer.next().await]);
    let texts: BTreeSet<_> = got.iter().map(text).collect();
    assert!(held.iter().all(|payload| texts.contains(payload)));
    assert_eq!(texts.len(), 4);
    fixture.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn key_shared_consumers_keep_a_key_together_and_in_order() {
    let fixture = Fixture::start().await;
    let topic = topic("key-shared");
    let producer = fixture.producer(&topic).await;
    let mut readers = Vec::new();
    for name in ["one", "two", "three"] {
        readers.push(fixture.consumer(&topic, name, SubType::KeyShared).await);
    }
    let collecting: Vec<_> =
        readers.into_iter().map(|reader| tokio::spawn(collect_by_key(reader))).collect();
    for number in 0..60 {
        let key = format!("key-{}", number % 6);
        producer.send_with_key(number.to_string().into(), None, &key).await.unwrap();
    }
    for _ in 0..3 {
        producer.send_with_key(b"end".to_vec(), None, "end").await.unwrap();
    }

    let mut owner = HashMap::new();
    let mut count = 0;
    for (index, task) in collecting.into_iter().enumerate() {
        for (key, numbers) in task.await.unwrap() {
            assert!(numbers.is_sorted(), "{key}: {numbers:?}");
            assert_eq!(owner.insert(key, index), None);
            count += numbers.len();
        }
    }
    assert_eq!(count, 60);
    fixture.stop().await;
}

/// Reads until nothing comes any more.
async fn collect_by_key(mut reader: Reader) -> HashMap<String, Vec<u32>> {
    let mut numbers: HashMap<String, Vec<u32>> = HashMap::new();
    while let Some(message) = reader.next_within(std::time::Duration::from_secs(4)).await {
        reader.ack(&message).await;
        if let Ok(number) = text(&message).parse() {
            numbers.entry(message.routing_key.unwrap()).or_default().push(number);
        }
    }
    numbers
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failover_standby_gets_nothing_while_the_active_consumer_reads() {
    let fixture = Fixture::start().await;
    let topic = topic("failover");
    let producer = fixture.producer(&topic).await;
    let mut active = fixture.consumer(&topic, "active", SubType::FailOver).await;
    let mut standby = fixture.consumer(&topic, "standby", SubType::FailOver).await;
    for number in 0..5 {
        send(&producer, &number.to_string()).await;
        assert_eq!(active.next_acked().await, number.to_string());
    }
    assert!(standby.stays_quiet().await);
    fixture.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn key_filters_let_only_their_keys_through() {
    let fixture = Fixture::start().await;
    let topic = topic("filters");
    let producer = fixture.producer(&topic).await;
    let builder = fixture.client.new_consumer().with_topic(&topic).with_consumer_name("eu");
    let mut consumer = builder
        .with_subscription("subscription")
        .with_subscription_type(SubType::KeyShared)
        .with_key_filter("eu-*")
        .build()
        .unwrap();
    consumer.subscribe().await.unwrap();
    let mut messages = consumer.receive().await.unwrap();

    for key in ["us-1", "eu-1", "us-2", "eu-2"] {
        producer.send_with_key(key.into(), None, key).await.unwrap();
    }
    for key in ["eu-1", "eu-2"] {
        let message = messages.recv().await.unwrap();
        assert_eq!(text(&message), key);
        consumer.ack(&message).await.unwrap();
    }
    fixture.stop().await;
}
