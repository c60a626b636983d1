//! Where the broker draws lines, and how it says so. Needs the embedded broker.

mod support;

use std::time::{Duration, Instant};

use danube_core::proto::TopicLookupRequest;
use danube_devbroker::{Config, DevBroker, StartError};
use support::{Fixture, topic};
use tonic::Code;

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_full_of_unacked_messages_refuses_more_until_they_are_acked() {
    let config = Config { max_backlog_bytes: 100, ..Config::for_tests() };
    let Some(fixture) = Fixture::embedded(config).await else { return };
    let raw = fixture.raw(&topic("full")).await;
    let producer = raw.producer().await;
    let consumer = raw.subscribe("reader").await;
    let mut stream = consumer.receive().await;
    producer.send(producer.message(0, vec![0; 100])).await.unwrap();

    let refused = producer.send(producer.message(1, "x")).await.unwrap_err();
    assert_eq!(refused.code(), Code::ResourceExhausted);
    assert!(refused.message().contains("subscription"), "{refused}");
    consumer.ack(stream.offset().await).await;
    producer.send(producer.message(2, "x")).await.unwrap();
    fixture.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_without_subscriptions_keeps_nothing() {
    let config = Config { max_backlog_bytes: 100, ..Config::for_tests() };
    let Some(fixture) = Fixture::embedded(config).await else { return };
    let producer = fixture.raw(&topic("nobody")).await.producer().await;
    for number in 0..10 {
        producer.send(producer.message(number, vec![0; 100])).await.unwrap();
    }
    fixture.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_window_outside_danubes_range_is_refused() {
    for max_unacked_messages in [0, 10_001] {
        let config = Config { max_unacked_messages, ..Config::for_tests() };
        let error = DevBroker::start(config).await.unwrap_err();
        assert!(matches!(error, StartError::Window { .. }), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lookup_answers_the_address_the_client_used_unless_another_is_configured() {
    for advertise in [None, Some("http://broker.example:6650".to_owned())] {
        let config = Config { advertise: advertise.clone(), ..Config::for_tests() };
        let Some(fixture) = Fixture::embedded(config).await else { return };
        let localhost = fixture.url.replace("127.0.0.1", "localhost");
        let topic = topic("advertised");
        let raw = support::raw::Raw::connect(&localhost, &topic).await;
        raw.producer().await;
        let request = TopicLookupRequest { request_id: 0, topic };
        let found = raw.discovery().topic_lookup(request).await.unwrap().into_inner();
        assert_eq!(found.connect_url, advertise.unwrap_or(localhost));
        assert_eq!(found.broker_url, found.connect_url);
        fixture.stop().await;
    }
}

/// Without TCP_NODELAY on the accepted sockets this takes many times as long.
#[tokio::test(flavor = "multi_thread")]
async fn publishes_one_after_the_other_do_not_wait_for_delayed_acks() {
    let Some(fixture) = Fixture::embedded(Config::for_tests()).await else { return };
    let producer = fixture.raw(&topic("nodelay")).await.producer().await;
    let began = Instant::now();
    producer.send_numbers(0..300).await;
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    fixture.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backlog_of_five_thousand_comes_whole_and_in_order() {
    let config = Config { max_unacked_messages: 1000, ..Config::for_tests() };
    let Some(fixture) = Fixture::embedded(config).await else { return };
    let raw = fixture.raw(&topic("backlog")).await;
    let producer = raw.producer().await;
    let consumer = raw.subscribe("reader").await;
    for _ in 0..50 {
        let sends = (0..100).map(|id| producer.send(producer.message(id, "x")));
        for sent in futures::future::join_all(sends).await {
            sent.unwrap();
        }
    }
    let mut stream = consumer.receive().await;
    for first in (0..5000).step_by(500) {
        let offsets = stream.offsets(500).await;
        assert_eq!(offsets, (first..first + 500).collect::<Vec<_>>());
        futures::future::join_all(offsets.into_iter().map(|offset| consumer.ack(offset))).await;
    }
    fixture.stop().await;
}
