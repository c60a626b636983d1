//! Driving a connector without a sidecar.

use danube_connector_sdk::{
    ConnectorConfig, Offset, SinkConnector as _, SinkRecord,
    testing::{SinkDriver, SinkRecordBuilder, SourceDriver},
};

use crate::connectors::{BatchSink, Journal, PollSource, SingleSink, texts};

fn records(texts: &[&str]) -> Vec<SinkRecord> {
    let record = |text: &&str| SinkRecordBuilder::new("/default/t").payload(*text).build();
    texts.iter().map(record).collect()
}

#[tokio::test]
async fn a_driven_sink_gives_a_result_for_each_record() {
    let journal = Journal::new();
    let sink = SingleSink::new(&journal);
    let mut driver = SinkDriver::start(sink, ConnectorConfig::default()).await.expect("it starts");
    let results = driver.deliver(records(&["a", "bad", "c"])).await;
    driver.shutdown().await.expect("it ends");

    assert_eq!(results.iter().map(Result::is_ok).collect::<Vec<_>>(), [true, false, true]);
    assert_eq!(
        journal.entries(),
        ["initialize", "consumer_configs", "process a", "process bad", "process c", "shutdown"]
    );
}

#[tokio::test]
async fn a_tick_delivers_an_empty_batch() {
    let journal = Journal::new();
    let sink = BatchSink { journal: journal.clone() };
    let mut driver = SinkDriver::start(sink, ConnectorConfig::default()).await.expect("it starts");
    driver.tick().await.expect("a tick");

    assert_eq!(journal.entries(), ["batch"]);
}

#[tokio::test]
async fn process_batch_called_by_hand_stops_at_the_first_error() {
    let journal = Journal::new();
    let mut sink = SingleSink::new(&journal);
    let error = sink.process_batch(records(&["a", "bad", "c"])).await.expect_err("the second");

    assert!(error.is_invalid_data());
    assert_eq!(journal.entries(), ["process a", "process bad"]);
}

#[tokio::test]
async fn process_batch_results_called_by_hand_processes_each_record_once() {
    let journal = Journal::new();
    let mut sink = SingleSink::new(&journal);
    let results = sink.process_batch_results(records(&["a", "bad", "c"])).await;

    assert_eq!(results.iter().map(Result::is_ok).collect::<Vec<_>>(), [true, false, true]);
    assert_eq!(journal.entries(), ["process a", "process bad", "process c"]);
}

#[tokio::test]
async fn a_driven_source_is_restored_polled_and_committed() {
    let journal = Journal::new();
    let source = PollSource::new(&journal, vec![texts(&["a"])]);
    let positions = vec![Offset::new("file", 3)];
    let mut driver = SourceDriver::start(source, ConnectorConfig::default(), positions)
        .await
        .expect("it starts");

    assert_eq!(driver.producers()[0].partitions, 4);
    assert_eq!(driver.poll().await.expect("records").len(), 1);
    driver.commit().await.expect("a commit");
    driver.shutdown().await.expect("it ends");
    assert_eq!(
        journal.entries(),
        [
            "initialize",
            "producer_configs",
            "restore file:3",
            "poll",
            "commit /default/events:0",
            "shutdown"
        ]
    );
}
