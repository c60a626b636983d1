//! Sources that push.

use danube_connector_proto::v1::source_service_run_request::Frame as Up;
use danube_connector_sdk::{ConnectorError, ConnectorResult, SourceRecord};
use tokio::sync::mpsc;

use crate::{
    connectors::{Journal, Running, StreamSource, run_source},
    sidecar::{ScriptedSidecar, SourceScript},
};

type Sender = mpsc::Sender<ConnectorResult<SourceRecord>>;

/// A running streaming source, its channel and its open session.
async fn start(journal: &Journal) -> (ScriptedSidecar, Running, Sender, SourceScript) {
    let mut sidecar = ScriptedSidecar::on_tcp().await;
    let (sender, records) = mpsc::channel(16);
    let source = StreamSource { journal: journal.clone(), records: Some(records) };
    let running = run_source(source, &sidecar.address).await;
    let session = sidecar.source().await;
    session.opened(vec![]).await;
    (sidecar, running, sender, session)
}

async fn push(sender: &Sender, text: &str) {
    sender.send(Ok(SourceRecord::from_string("/default/events", text))).await.expect("it reads");
}

#[tokio::test]
async fn records_of_a_stream_are_sent_as_they_come() {
    let journal = Journal::new();
    let (_sidecar, _running, sender, mut session) = start(&journal).await;
    session.demand(10).await;
    push(&sender, "a").await;
    assert_eq!(session.texts(1, 1).await, ["a"]);
    push(&sender, "b").await;
    assert_eq!(session.texts(2, 1).await, ["b"]);
    session.committed(1).await;

    journal.until("commit 1").await;
}

#[tokio::test]
async fn a_stream_is_only_read_while_there_is_demand() {
    let (_sidecar, _running, sender, mut session) = start(&Journal::new()).await;
    push(&sender, "a").await;
    push(&sender, "b").await;
    session.expect_nothing().await;
    session.demand(1).await;
    assert_eq!(session.texts(1, 1).await, ["a"]);
    session.expect_nothing().await;

    assert_eq!(sender.capacity(), 15);
}

#[tokio::test]
async fn a_stream_that_ends_ends_the_run_when_all_is_committed() {
    let journal = Journal::new();
    let (_sidecar, running, sender, mut session) = start(&journal).await;
    session.demand(10).await;
    push(&sender, "a").await;
    drop(sender);
    assert_eq!(session.texts(1, 1).await, ["a"]);
    assert!(matches!(session.next().await, Some(Up::Drained(_))));
    session.committed(1).await;
    journal.until("commit 1").await;
    drop(session);

    running.end().await.expect("a clean end");
}

#[tokio::test]
async fn what_a_stream_brought_before_its_fatal_error_is_sent() {
    let (_sidecar, running, sender, mut session) = start(&Journal::new()).await;
    push(&sender, "a").await;
    sender.send(Err(ConnectorError::fatal("gone"))).await.expect("it reads");
    session.demand(10).await;

    assert_eq!(session.texts(1, 1).await, ["a"]);
    assert!(matches!(session.next().await, Some(Up::Fault(_))));
    drop(session);
    assert!(running.end().await.is_err_and(|error| error.is_fatal()));
}
