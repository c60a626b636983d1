//! What is called when, and how a sink ends.

use std::sync::Arc;

use danube_connector_proto::v1::sink_service_run_request::Frame;
use danube_connector_sdk::{ConnectorConfig, ConnectorError, SinkRuntime};
use tokio::sync::Semaphore;

use crate::{
    connectors::{Journal, SingleSink, run_sink},
    sidecar::{ScriptedSidecar, record},
};

#[tokio::test]
async fn calls_come_in_the_guides_order() {
    let (mut sidecar, journal) = (ScriptedSidecar::on_tcp().await, Journal::new());
    let running = run_sink(SingleSink::new(&journal), &sidecar.address).await;
    let mut session = sidecar.sink().await;
    session.opened().await;
    session.batch(vec![record(1, None, "a")]).await;
    session.outcomes(1).await;
    drop(session);
    running.stop().await.expect("a clean end");

    assert_eq!(journal.entries(), ["initialize", "consumer_configs", "process a", "shutdown"]);
}

#[tokio::test]
async fn an_initialize_that_fails_ends_the_run_with_its_error() {
    let (sidecar, journal) = (ScriptedSidecar::on_tcp().await, Journal::new());
    let mut sink = SingleSink::new(&journal);
    sink.initialized = Some(ConnectorError::config("no url"));
    let error = run_sink(sink, &sidecar.address).await.end().await.expect_err("it cannot start");

    assert!(matches!(error, ConnectorError::Configuration(message) if message == "no url"));
    assert_eq!(journal.entries(), ["initialize"]);
    assert!(!sidecar.has_waiting_session());
}

#[tokio::test]
async fn a_stop_finishes_what_is_in_hand_and_says_farewell() {
    let (mut sidecar, journal) = (ScriptedSidecar::on_tcp().await, Journal::new());
    let gate = Arc::new(Semaphore::new(0));
    let mut sink = SingleSink::new(&journal);
    sink.gate = Some(gate.clone());
    let running = run_sink(sink, &sidecar.address).await;
    let mut session = sidecar.sink().await;
    session.opened().await;
    session.batch(vec![record(1, None, "a"), record(2, None, "b")]).await;
    journal.until("process a").await;
    running.stop.stop();
    gate.add_permits(2);

    assert_eq!(session.outcomes(2).await.0, [1, 2]);
    assert!(matches!(session.next().await, Some(Frame::Drained(_))));
    assert!(session.next().await.is_none());
    drop(session);
    running.end().await.expect("a clean end");
    assert_eq!(journal.entries().last().map(String::as_str), Some("shutdown"));
}

#[tokio::test]
async fn a_stop_ends_a_sink_that_waits_for_its_sidecar() {
    let journal = Journal::new();
    let running = run_sink(SingleSink::new(&journal), "unix:///nowhere/sidecar.sock").await;
    journal.until("consumer_configs").await;

    running.stop().await.expect("a clean end");
    assert_eq!(journal.entries().last().map(String::as_str), Some("shutdown"));
}

#[tokio::test]
async fn a_fatal_error_is_told_to_the_sidecar_and_ends_the_run() {
    let (mut sidecar, journal) = (ScriptedSidecar::on_tcp().await, Journal::new());
    let running = run_sink(SingleSink::new(&journal), &sidecar.address).await;
    let mut session = sidecar.sink().await;
    session.opened().await;
    session.batch(vec![record(1, None, "a"), record(2, None, "fatal"), record(3, None, "c")]).await;

    assert_eq!(session.outcomes(1).await.0, [1]);
    let Some(Frame::Fault(fault)) = session.next().await else { panic!("no fault") };
    assert_eq!(fault.code, "FATAL");
    assert!(fault.message.contains("disk full"));
    drop(session);
    let error = running.end().await.expect_err("fatal");
    assert!(error.is_fatal());
    let journal = journal.entries();
    assert!(!journal.contains(&"process c".to_owned()));
    assert_eq!(journal.last().map(String::as_str), Some("shutdown"));
}

#[tokio::test]
async fn a_configuration_that_makes_no_sense_is_refused_at_once() {
    let config = ConnectorConfig { connector_name: String::new(), ..ConnectorConfig::default() };
    let refused = SinkRuntime::new(SingleSink::new(&Journal::new()), config).await;

    assert!(matches!(refused, Err(ConnectorError::Configuration(_))));
}

#[tokio::test]
async fn a_drain_is_answered_and_the_sink_comes_back() {
    use danube_connector_proto::v1::{Drain, sink_service_run_response::Frame as Down};

    let (mut sidecar, journal) = (ScriptedSidecar::on_tcp().await, Journal::new());
    let running = run_sink(SingleSink::new(&journal), &sidecar.address).await;
    let mut session = sidecar.sink().await;
    session.opened().await;
    session.batch(vec![record(1, None, "a")]).await;
    session.send(Down::Drain(Drain::default())).await;

    assert_eq!(session.outcomes(1).await.0, [1]);
    assert!(matches!(session.next().await, Some(Frame::Drained(_))));
    drop(session);
    sidecar.sink().await.opened().await;
    running.stop().await.expect("a clean end");
    let initialized = journal.entries().iter().filter(|entry| *entry == "initialize").count();
    assert_eq!(initialized, 1);
}
