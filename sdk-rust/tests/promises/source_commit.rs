//! What a source hears of records that are safe.

use danube_connector_proto::v1::{SourceRejected, source_service_run_response::Frame as Down};
use danube_connector_sdk::{ConnectorError, Offset, SourceRecord};

use crate::{
    connectors::{Journal, PollSource, run_source, texts},
    sidecar::ScriptedSidecar,
};

#[tokio::test]
async fn each_poll_is_committed_once_with_an_offset_for_each_record() {
    let (mut sidecar, journal) = (ScriptedSidecar::on_tcp().await, Journal::new());
    let placed =
        SourceRecord::from_string("/default/events", "b").with_offset(Offset::new("table", 17));
    let mut first = texts(&["a"]);
    first.push(placed);
    let source = PollSource::new(&journal, vec![first, texts(&["c"])]);
    let _running = run_source(source, &sidecar.address).await;
    let mut session = sidecar.source().await;
    session.opened(vec![]).await;
    session.demand(10).await;
    session.take(1, 3).await;
    session.committed(3).await;
    let mut calls = journal.until("commit /default/events:0").await;
    calls.retain(|entry| entry.starts_with("commit"));

    assert_eq!(calls, ["commit /default/events:0 table:17", "commit /default/events:0"]);
}

#[tokio::test]
async fn a_poll_is_not_committed_before_its_last_record() {
    let (mut sidecar, journal) = (ScriptedSidecar::on_tcp().await, Journal::new());
    let source = PollSource::new(&journal, vec![texts(&["a", "b"])]);
    let _running = run_source(source, &sidecar.address).await;
    let mut session = sidecar.source().await;
    session.opened(vec![]).await;
    session.demand(2).await;
    session.take(1, 2).await;
    session.committed(1).await;
    session.expect_nothing().await;
    assert!(!journal.entries().iter().any(|entry| entry.starts_with("commit")));

    session.committed(2).await;
    journal.until("commit /default/events:0 /default/events:1").await;
}

#[tokio::test]
async fn a_commit_that_fails_does_not_stop_the_source() {
    let (mut sidecar, journal) = (ScriptedSidecar::on_tcp().await, Journal::new());
    let mut source = PollSource::new(&journal, vec![texts(&["a"]), texts(&["b"])]);
    source.commit_error = Some(ConnectorError::retryable("no acks today"));
    let _running = run_source(source, &sidecar.address).await;
    let mut session = sidecar.source().await;
    session.opened(vec![]).await;
    session.demand(1).await;
    session.take(1, 1).await;
    session.committed(1).await;
    session.demand(2).await;

    assert_eq!(session.texts(2, 1).await, ["b"]);
}

#[tokio::test]
async fn a_rejected_record_is_committed_like_the_others() {
    let (mut sidecar, journal) = (ScriptedSidecar::on_tcp().await, Journal::new());
    let source = PollSource::new(&journal, vec![texts(&["a", "b"])]);
    let _running = run_source(source, &sidecar.address).await;
    let mut session = sidecar.source().await;
    session.opened(vec![]).await;
    session.demand(2).await;
    session.take(1, 2).await;
    let rejected =
        SourceRejected { number: 1, code: "TOO_LARGE".to_owned(), message: String::new() };
    session.send(Down::Rejected(rejected)).await;
    session.committed(2).await;

    journal.until("commit /default/events:0 /default/events:1").await;
}
