//! The guide's sinks, driven without a sidecar.

use danube_connect_core::{
    ConnectorConfig, ConnectorError, SinkConnector, SinkRecord,
    testing::{SinkDriver, SinkRecordBuilder},
};
use guide_connectors::{
    block_04_sink_initialize as block_04, block_05_consumer_configs as block_05,
    block_06_consumer_configs_of_many_topics as block_06, block_07_payload as block_07,
    block_08_metadata as block_08, block_09_process_batch as block_09,
    block_11_attribute_based_routing as block_11, block_24_errors as block_24,
    block_25_error_pattern as block_25,
    external::{MyData, Settings},
};

fn record(id: &str) -> SinkRecordBuilder {
    SinkRecordBuilder::new("/default/events").json(&MyData::new(id)).expect("it has a JSON form")
}

fn records(ids: &[&str]) -> Vec<SinkRecord> {
    ids.iter().map(|id| record(id).build()).collect()
}

async fn drive<C: SinkConnector>(connector: C) -> SinkDriver<C> {
    SinkDriver::start(connector, ConnectorConfig::default()).await.expect("it starts")
}

#[tokio::test]
async fn initialize_connects_and_refuses_a_wrong_configuration() {
    let config = Settings { url: "db://here".to_string(), ..Settings::default() };
    let mut sink = block_04::MySink { config, ..block_04::MySink::default() };
    sink.initialize(ConnectorConfig::default()).await.expect("it connects");
    assert_eq!(sink.client.url, "db://here");

    let refused = block_04::MySink::default().initialize(ConnectorConfig::default()).await;
    assert!(matches!(refused, Err(ConnectorError::Configuration(_))));
}

#[tokio::test]
async fn consumer_configs_name_one_topic_or_many() {
    let one = drive(block_05::MySink).await;
    assert_eq!(one.consumers()[0].topic, "/default/events");

    let topics = vec!["/default/a".to_string(), "/default/b".to_string()];
    let config = Settings { topics, connector_name: "me".to_string(), ..Settings::default() };
    let many = drive(block_06::MySink { config }).await;
    assert_eq!(many.consumers().len(), 2);
    assert_eq!(many.consumers()[1].subscription, "/default/b-sub");
}

#[test]
fn payload_and_metadata_are_read() {
    let record = record("7").offset(3).publish_time(5).attribute("key", "value").build();
    let (bytes, text, data) = block_07::read::<MyData>(&record).expect("it is JSON");

    assert_eq!(bytes, text.as_bytes());
    assert_eq!(data, MyData::new("7"));
    assert_eq!(block_08::read(&record), ("/default/events", 3, 5, Some("value")));
}

#[tokio::test]
async fn a_batch_is_written_at_once_and_a_bad_record_alone_is_refused() {
    let mut sink = drive(block_09::MySink::default()).await;
    let mut batch = records(&["1", "2"]);
    batch.insert(1, SinkRecordBuilder::new("/default/events").payload("not JSON").build());
    let results = sink.deliver(batch).await;

    assert!(results[0].is_ok() && results[2].is_ok());
    assert!(results[1].as_ref().is_err_and(ConnectorError::is_invalid_data));
    assert_eq!(sink.connector().client.read(), [MyData::new("1"), MyData::new("2")]);
}

#[tokio::test]
async fn a_record_goes_to_the_table_of_its_attribute() {
    let mut sink = drive(block_11::MySink::default()).await;
    sink.deliver(vec![record("1").attribute("table", "orders").build(), record("2").build()]).await;
    let database = sink.connector().database.clone();

    assert_eq!(database.collection("orders").read(), [MyData::new("1")]);
    assert_eq!(database.collection("default").read(), [MyData::new("2")]);
}

#[test]
fn the_three_kinds_of_errors_are_told_apart() {
    let [retryable, invalid, fatal] = block_24::errors(b"{");

    assert!(retryable.is_retryable());
    assert!(invalid.is_invalid_data());
    assert!(fatal.is_fatal());
}

#[tokio::test]
async fn bad_json_is_invalid_and_a_failed_write_retryable() {
    let mut sink = drive(block_25::MySink::default()).await;
    let bad = SinkRecordBuilder::new("/default/events").payload("{").build();
    let results = sink.deliver(vec![record("1").build(), bad, record("unwritable").build()]).await;

    assert!(results[0].is_ok());
    assert!(results[1].as_ref().is_err_and(ConnectorError::is_invalid_data));
    assert!(results[2].as_ref().is_err_and(ConnectorError::is_retryable));
}
