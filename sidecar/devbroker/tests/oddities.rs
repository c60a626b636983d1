//! Each oddity shown on, and what is right with it off. Needs the embedded broker.

mod support;

use std::time::Duration;

use danube_core::proto::{TopicLookupRequest, consumer_request::SubscriptionType};
use danube_devbroker::{Backoff, Config, FailurePolicy, Oddities, Poison};
use futures::future::join_all;
use support::{
    Fixture, QUIET, SOON,
    raw::{Raw, RawConsumer, RawProducer, RawStream},
    topic,
};
use tokio::time::timeout;
use tonic::Code;

/// A broker with one oddity, or with none.
async fn broker(oddity: Option<&str>) -> Option<Fixture> {
    broker_with(oddity, Config::for_tests()).await
}

async fn broker_with(oddity: Option<&str>, mut config: Config) -> Option<Fixture> {
    let mut oddities = Oddities::default();
    if let Some(name) = oddity {
        oddities.enable(name).unwrap();
    }
    config.oddities = oddities;
    Fixture::embedded(config).await
}

/// A producer and an attached exclusive consumer of one topic.
async fn pair(fixture: &Fixture) -> (RawProducer, RawConsumer, RawStream) {
    let raw = fixture.raw(&topic("odd")).await;
    let producer = raw.producer().await;
    let consumer = raw.subscribe("reader").await;
    let stream = consumer.receive().await;
    (producer, consumer, stream)
}

#[tokio::test(flavor = "multi_thread")]
async fn acking_the_highest_with_lower_ones_open_stops_everything_until_a_publish() {
    let Some(fixture) = broker(Some("highest-ack-blocks")).await else { return };
    let (producer, consumer, mut stream) = pair(&fixture).await;
    producer.send_numbers(0..3).await;
    stream.offsets(3).await;

    consumer.ack(2).await;
    for _ in 0..31 {
        consumer.ack(1000).await;
    }
    consumer.nack(0, None).await;
    let hanging = tokio::spawn({
        let consumer = consumer.clone();
        async move { consumer.try_ack(1).await }
    });
    assert!(timeout(QUIET, consumer.try_ack(1)).await.is_err());
    assert!(stream.stays_quiet().await);

    timeout(SOON, producer.send(producer.message(3, "3"))).await.unwrap().unwrap();
    timeout(SOON, hanging).await.unwrap().unwrap().unwrap();
    assert_eq!(stream.offset().await, 3);
    fixture.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn acking_the_highest_first_is_fine() {
    let Some(fixture) = broker(None).await else { return };
    let (producer, consumer, mut stream) = pair(&fixture).await;
    producer.send_numbers(0..3).await;
    stream.offsets(3).await;
    for offset in [2].into_iter().chain([1000; 40]).chain([0, 1]) {
        consumer.ack(offset).await;
    }
    let mut stream = consumer.reopen(stream).await;
    assert!(stream.stays_quiet().await);
    fixture.stop().await;
}

/// Publishes until one hangs; how many did not.
async fn publish_until_it_hangs(producer: &RawProducer, most: u64, size: usize) -> u64 {
    for number in 0..most {
        let sent = producer.send(producer.message(number, vec![0; size]));
        if timeout(Duration::from_secs(2), sent).await.is_err() {
            return number;
        }
    }
    most
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_is_not_read_stops_the_producers() {
    let config = Config { max_unacked_messages: 1000, ..Config::for_tests() };
    let Some(fixture) = broker_with(Some("unread-consumer-blocks"), config).await else { return };
    let (producer, _consumer, _unread) = pair(&fixture).await;
    let published = publish_until_it_hangs(&producer, 200, 256 * 1024).await;
    assert!((32..200).contains(&published), "{published}");
    fixture.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_is_not_read_disturbs_nobody() {
    let config = Config { max_unacked_messages: 1000, ..Config::for_tests() };
    let Some(fixture) = broker_with(None, config).await else { return };
    let (producer, _consumer, _unread) = pair(&fixture).await;
    assert_eq!(publish_until_it_hangs(&producer, 200, 256 * 1024).await, 200);
    fixture.stop().await;
}

fn one_redelivery() -> Config {
    let failure_policy = FailurePolicy {
        max_redeliveries: 1,
        base_delay: Duration::from_millis(10),
        max_delay: Duration::from_millis(10),
        backoff: Backoff::Fixed,
        poison: Poison::Block,
    };
    Config { failure_policy, ..Config::for_tests() }
}

#[tokio::test(flavor = "multi_thread")]
async fn after_reconnects_one_nack_blocks_the_subscription_for_good() {
    let Some(fixture) = broker_with(Some("reconnects-spend-budget"), one_redelivery()).await else {
        return;
    };
    let (producer, consumer, mut stream) = pair(&fixture).await;
    producer.send_numbers(0..1).await;
    assert_eq!(stream.offset().await, 0);
    let mut stream = consumer.reopen(stream).await;
    assert_eq!(stream.offset().await, 0);
    consumer.nack(0, None).await;
    assert!(stream.stays_quiet().await);

    consumer.ack(0).await;
    producer.send_numbers(1..2).await;
    let mut stream = consumer.reopen(stream).await;
    assert!(stream.stays_quiet().await);
    fixture.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn reconnects_cost_no_redelivery_and_a_new_stream_revives_a_blocked_subscription() {
    let Some(fixture) = broker_with(None, one_redelivery()).await else { return };
    let (producer, consumer, mut stream) = pair(&fixture).await;
    producer.send_numbers(0..2).await;
    assert_eq!(stream.offsets(2).await, [0, 1]);
    for _ in 0..3 {
        stream = consumer.reopen(stream).await;
        assert_eq!(stream.offsets(2).await, [0, 1]);
    }
    consumer.nack(0, None).await;
    assert_eq!(stream.offset().await, 0);
    consumer.nack(0, None).await;
    producer.send_numbers(2..3).await;
    assert!(stream.stays_quiet().await);

    let mut stream = consumer.reopen(stream).await;
    assert_eq!(stream.offsets(3).await, [0, 1, 2]);
    fixture.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ack_while_detached_is_answered_and_dropped() {
    let Some(fixture) = broker(Some("detached-acks-dropped")).await else { return };
    let (producer, consumer, mut stream) = pair(&fixture).await;
    producer.send_numbers(0..1).await;
    assert_eq!(stream.offset().await, 0);
    consumer.close(stream).await;
    consumer.ack(0).await;
    assert_eq!(consumer.receive().await.offset().await, 0);
    fixture.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ack_while_detached_counts() {
    let Some(fixture) = broker(None).await else { return };
    let (producer, consumer, mut stream) = pair(&fixture).await;
    producer.send_numbers(0..1).await;
    assert_eq!(stream.offset().await, 0);
    consumer.close(stream).await;
    consumer.ack(0).await;
    assert!(consumer.receive().await.stays_quiet().await);
    fixture.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn subscribing_without_reading_stops_the_producers_until_the_old_id_reads() {
    let Some(fixture) = broker(Some("subscribe-without-receive-blocks")).await else { return };
    let raw = fixture.raw(&topic("unread")).await;
    let producer = raw.producer().await;
    let consumer = raw.subscribe("reader").await;

    let published = publish_until_it_hangs(&producer, 100, 1).await;
    assert!((31..40).contains(&published), "{published}");
    let again = raw.try_subscribe("reader", SubscriptionType::Exclusive);
    assert!(timeout(QUIET, again).await.is_err());

    let mut stream = consumer.receive().await;
    assert_eq!(stream.offsets(10).await, (0..10).collect::<Vec<_>>());
    assert!(!producer.hangs().await);
    fixture.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn subscribing_without_reading_disturbs_nobody() {
    let Some(fixture) = broker(None).await else { return };
    let raw = fixture.raw(&topic("unread")).await;
    let producer = raw.producer().await;
    raw.subscribe("reader").await;
    assert_eq!(publish_until_it_hangs(&producer, 100, 1).await, 100);
    let consumer = raw.subscribe("reader").await;
    assert_eq!(consumer.receive().await.offset().await, 0);
    fixture.stop().await;
}

/// The offsets that a consumer gets of 1000 published while it holds the window.
async fn offsets_of_a_backlog(fixture: &Fixture) -> Vec<u64> {
    let (producer, consumer, mut stream) = pair(fixture).await;
    producer.send_numbers(0..1000).await;
    let mut offsets = Vec::new();
    while offsets.last() != Some(&999) {
        let offset = stream.offset().await;
        consumer.ack(offset).await;
        offsets.push(offset);
    }
    offsets
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backlog_of_more_than_256_is_skipped() {
    let Some(fixture) = broker(Some("live-channel-skips")).await else { return };
    let offsets = offsets_of_a_backlog(&fixture).await;
    assert_eq!(offsets, (0..10).chain(744..1000).collect::<Vec<_>>());
    fixture.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backlog_comes_whole() {
    let Some(fixture) = broker(None).await else { return };
    let offsets = offsets_of_a_backlog(&fixture).await;
    assert_eq!(offsets, (0..1000).collect::<Vec<_>>());
    fixture.stop().await;
}

/// Publishes three, kills the broker, publishes one more; its offset comes back.
async fn offset_after_a_kill(oddity: Option<&str>) -> Option<u64> {
    let dir = tempfile::tempdir().unwrap();
    let config = || Config { data_dir: Some(dir.path().to_owned()), ..Config::for_tests() };
    let topic = topic("offsets");
    let fixture = broker_with(oddity, config()).await?;
    let raw = fixture.raw(&topic).await;
    let producer = raw.producer().await;
    raw.subscribe("reader").await;
    producer.send_numbers(0..3).await;
    fixture.kill().await;

    let fixture = broker_with(oddity, config()).await?;
    let raw = fixture.raw(&topic).await;
    let producer = raw.producer().await;
    let consumer = raw.subscribe("reader").await;
    let mut stream = consumer.receive().await;
    producer.send(producer.message(9, "new")).await.unwrap();
    loop {
        let message = stream.next().await;
        if message.payload.as_ref() == b"new" {
            fixture.stop().await;
            return Some(message.msg_id.unwrap().topic_offset);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn offsets_are_used_again_after_a_crash() {
    let Some(offset) = offset_after_a_kill(Some("forgets-confirmed")).await else { return };
    assert_eq!(offset, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn offsets_go_on_after_a_crash() {
    let Some(offset) = offset_after_a_kill(None).await else { return };
    assert_eq!(offset, 3);
}

/// Whether a stream that is opened while the old one is still open repeats what is
/// un-acked.
async fn takeover_repeats(oddity: Option<&str>) -> Option<bool> {
    let fixture = broker(oddity).await?;
    let (producer, consumer, mut first) = pair(&fixture).await;
    producer.send_numbers(0..3).await;
    assert_eq!(first.offsets(3).await, [0, 1, 2]);
    let mut second = consumer.receive().await;
    let repeats = !second.stays_quiet().await;
    assert!(first.ends().await);
    fixture.stop().await;
    Some(repeats)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_overtakes_the_end_of_the_old_one_repeats_nothing() {
    let Some(repeats) = takeover_repeats(Some("takeover-resends-nothing")).await else { return };
    assert!(!repeats);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_takes_over_repeats_what_is_unacked() {
    let Some(repeats) = takeover_repeats(None).await else { return };
    assert!(repeats);
}

/// A second name subscribes when the first has closed its stream.
async fn second_exclusive(fixture: &Fixture) -> Result<(), Code> {
    let raw = fixture.raw(&topic("exclusive")).await;
    raw.producer().await;
    let first = raw.subscribe("first").await;
    let stream = first.receive().await;
    first.close(stream).await;
    let second = raw.try_subscribe("second", SubscriptionType::Exclusive).await;
    second.map(drop).map_err(|status| status.code())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_exclusive_subscription_stays_with_its_first_name() {
    let Some(fixture) = broker(Some("exclusive-for-ever")).await else { return };
    assert_eq!(second_exclusive(&fixture).await, Err(Code::PermissionDenied));
    fixture.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_exclusive_subscription_is_free_when_its_consumer_is_gone() {
    let Some(fixture) = broker(None).await else { return };
    assert_eq!(second_exclusive(&fixture).await, Ok(()));
    fixture.stop().await;
}

/// The standby's stream after the active consumer closed its own holding offset 0,
/// and offset 1 was published.
async fn standby_alone(fixture: &Fixture) -> RawStream {
    let raw = fixture.raw(&topic("failover")).await;
    let producer = raw.producer().await;
    let active = raw.try_subscribe("active", SubscriptionType::Failover).await.unwrap();
    let standby = raw.try_subscribe("standby", SubscriptionType::Failover).await.unwrap();
    let (mut active_stream, standby_stream) = (active.receive().await, standby.receive().await);
    producer.send_numbers(0..1).await;
    assert_eq!(active_stream.offset().await, 0);
    active.close(active_stream).await;
    producer.send_numbers(1..2).await;
    standby_stream
}

#[tokio::test(flavor = "multi_thread")]
async fn a_standby_gets_nothing_when_the_active_consumer_is_gone() {
    let Some(fixture) = broker(Some("no-failover")).await else { return };
    assert!(standby_alone(&fixture).await.stays_quiet().await);
    fixture.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_standby_takes_over_with_what_was_in_flight() {
    let Some(fixture) = broker(None).await else { return };
    assert_eq!(standby_alone(&fixture).await.offsets(2).await, [0, 1]);
    fixture.stop().await;
}

/// The stream of a key-shared consumer that reconnected holding one message.
async fn reconnected_key_shared(fixture: &Fixture) -> RawStream {
    let raw = fixture.raw(&topic("key-shared")).await;
    let producer = raw.producer().await;
    let consumer = raw.try_subscribe("reader", SubscriptionType::KeyShared).await.unwrap();
    let mut stream = consumer.receive().await;
    producer.send_numbers(0..1).await;
    assert_eq!(stream.offset().await, 0);
    consumer.reopen(stream).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_shared_consumer_that_reconnects_misses_what_it_held() {
    let Some(fixture) = broker(Some("key-shared-loses")).await else { return };
    assert!(reconnected_key_shared(&fixture).await.stays_quiet().await);
    fixture.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_shared_consumer_that_reconnects_gets_what_it_held() {
    let Some(fixture) = broker(None).await else { return };
    assert_eq!(reconnected_key_shared(&fixture).await.offset().await, 0);
    fixture.stop().await;
}

async fn partitions(raw: &Raw, topic: &str) -> Vec<String> {
    let request = TopicLookupRequest { request_id: 0, topic: topic.to_owned() };
    raw.discovery().topic_partitions(request).await.unwrap().into_inner().partitions
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_is_found_by_the_beginning_of_its_name() {
    let Some(fixture) = broker(Some("prefix-lookup")).await else { return };
    fixture.producer("/default/orders-dlq").await;
    fixture.producer_with("/default/orders", Some(1)).await;
    let raw = fixture.raw("/default/orders").await;
    let both = ["/default/orders-dlq", "/default/orders-part-0"];
    assert_eq!(partitions(&raw, "/default/orders").await, both);
    assert_eq!(partitions(&raw, "/default/ord").await, both);
    fixture.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_is_found_by_its_whole_name() {
    let Some(fixture) = broker(None).await else { return };
    fixture.producer("/default/orders-dlq").await;
    fixture.producer_with("/default/orders", Some(1)).await;
    let raw = fixture.raw("/default/orders").await;
    assert_eq!(partitions(&raw, "/default/orders").await, ["/default/orders-part-0"]);
    assert!(partitions(&raw, "/default/ord").await.is_empty());
    fixture.stop().await;
}

/// The request ids of concurrent publishes in the order they were stored.
async fn stored_order(fixture: &Fixture) -> Vec<u64> {
    let (producer, consumer, mut stream) = pair(fixture).await;
    let sends = (0..64).map(|id| producer.send(producer.message(id, "x")));
    for sent in join_all(sends).await {
        sent.unwrap();
    }
    let mut order = Vec::new();
    for offset in 0..64 {
        order.push(stream.next().await.request_id);
        consumer.ack(offset).await;
    }
    order
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_publishes_may_be_stored_in_another_order() {
    let Some(fixture) = broker(Some("reordered-publishes")).await else { return };
    assert!(!stored_order(&fixture).await.is_sorted());
    fixture.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_publishes_of_a_connection_are_stored_as_they_were_sent() {
    let Some(fixture) = broker(None).await else { return };
    for _ in 0..10 {
        assert!(stored_order(&fixture).await.is_sorted());
    }
    fixture.stop().await;
}
