//! The guide's sources, driven without a sidecar.

use std::collections::HashMap;

use danube_connect_core::{
    ConnectorConfig, Offset, SourceConnector, SourceRecord, testing::SourceDriver,
};
use guide_connectors::{
    block_13_source_initialize as block_13, block_14_producer_configs as block_14,
    block_15_producer_configs_of_many_topics as block_15, block_16_poll as block_16,
    block_17_source_record_builders as block_17, block_18_commit as block_18,
    block_20_polling as block_20, block_21_multi_topic_routing as block_21,
    external::{ExternalMessage, MyData, Settings, TopicMapping, TopicMappings},
};
use tokio::sync::mpsc;

async fn drive<C: SourceConnector>(connector: C) -> SourceDriver<C> {
    SourceDriver::start(connector, ConnectorConfig::default(), vec![]).await.expect("it starts")
}

fn texts(records: &[SourceRecord]) -> Vec<&str> {
    records.iter().map(|record| record.payload_str().expect("text")).collect()
}

#[tokio::test]
async fn initialize_starts_an_event_loop() {
    let config = Settings { source_topics: vec!["a".to_string()], ..Settings::default() };
    let mut source = drive(block_13::MySource { config, message_rx: None }).await;
    let events = source.connector().message_rx.as_mut().expect("a channel");

    assert_eq!(events.recv().await, Some(MyData::new("a")));
}

#[tokio::test]
async fn producer_configs_name_one_topic_or_many() {
    let one = drive(block_14::MySource).await;
    assert_eq!(one.producers()[0].partitions, 8);

    let mapping =
        TopicMapping { danube_topic: "/default/x".to_string(), partitions: 2, reliable: false };
    let config = Settings { topic_mappings: vec![mapping], ..Settings::default() };
    let many = drive(block_15::MySource { config }).await;
    assert_eq!(many.producers()[0].topic, "/default/x");
    assert!(!many.producers()[0].reliable_dispatch);
}

#[tokio::test]
async fn a_poll_takes_what_is_there_up_to_a_hundred() {
    let (sender, rx) = mpsc::channel(200);
    for id in 0..150 {
        sender.send(MyData::new(&id.to_string())).await.expect("room");
    }
    let mut source = drive(block_16::MySource { rx }).await;
    let records = source.poll().await.expect("records");

    assert_eq!(records.len(), 100);
    assert_eq!(records[0].key.as_deref(), Some("0"));
    assert_eq!(records[0].attributes["source"], "my-connector");
    assert_eq!(source.poll().await.expect("records").len(), 50);
}

#[test]
fn records_are_built_of_bytes_text_and_values() {
    let names = ("/default/t", "name", "value", "key");
    let [bytes, text, json] = block_17::build(names, vec![1], "text", 7).expect("it has JSON");

    assert_eq!(bytes.payload, [1]);
    assert_eq!(text.payload, b"text");
    assert_eq!(json.payload, b"7");
    assert_eq!(json.attributes["name"], "value");
    assert_eq!(json.key.as_deref(), Some("key"));
}

#[tokio::test]
async fn commit_keeps_the_last_offset() {
    let mut source = block_18::MySource::default();
    source.commit(vec![Offset::new("t", 0), Offset::new("t", 1)]).await.expect("it is kept");

    assert_eq!(source.checkpoint.saved(), Some(Offset::new("t", 1)));
}

#[tokio::test]
async fn polling_goes_on_behind_the_last_row() {
    let config = Settings { topic: "/default/rows".to_string(), ..Settings::default() };
    let source = block_20::MySource { config, ..block_20::MySource::default() };
    source.client.insert(MyData::new("a")).await.expect("a row");
    let mut driver = drive(source).await;
    assert_eq!(texts(&driver.poll().await.expect("rows")), [r#"{"id":1,"name":"a"}"#]);
    driver.connector().client.insert(MyData::new("b")).await.expect("a row");

    assert_eq!(texts(&driver.poll().await.expect("rows")), [r#"{"id":2,"name":"b"}"#]);
}

#[tokio::test]
async fn messages_go_to_the_topic_of_their_source_topic() {
    let mapping = HashMap::from([("a".to_string(), "/default/a".to_string())]);
    let message = ExternalMessage { source_topic: "a".to_string(), payload: b"text".to_vec() };
    let source =
        block_21::MySource { topic_mapping: TopicMappings(mapping), arrived: vec![message] };
    let records = drive(source).await.poll().await.expect("records");

    assert_eq!(records[0].topic, "/default/a");
    assert_eq!(records[0].key.as_deref(), Some("a"));
    assert_eq!(records[0].attributes["source_topic"], "a");
}
