//! What a source does about lost sessions.

use danube_connector_proto::v1::Position;
use tonic::Status;

use crate::{
    connectors::{Journal, PollSource, run_source, texts},
    sidecar::ScriptedSidecar,
};

#[tokio::test]
async fn what_was_not_committed_is_sent_again_numbered_from_one() {
    let (mut sidecar, journal) = (ScriptedSidecar::on_tcp().await, Journal::new());
    let polls = vec![texts(&["a", "b", "c"])];
    let _running = run_source(PollSource::new(&journal, polls), &sidecar.address).await;
    let mut first = sidecar.source().await;
    first.opened(vec![]).await;
    first.demand(3).await;
    first.take(1, 3).await;
    first.committed(1).await;
    first.expect_nothing().await;
    first.fail(Status::unavailable("restarting")).await;

    let mut second = sidecar.source().await;
    second.opened(vec![]).await;
    second.expect_nothing().await;
    second.demand(10).await;
    assert_eq!(second.texts(1, 2).await, ["b", "c"]);
    second.committed(2).await;
    journal.until("commit /default/events:0 /default/events:1 /default/events:2").await;
}

#[tokio::test]
async fn a_source_that_comes_back_is_neither_initialized_nor_restored_again() {
    let (mut sidecar, journal) = (ScriptedSidecar::on_tcp().await, Journal::new());
    let running = run_source(PollSource::new(&journal, vec![]), &sidecar.address).await;
    let first = sidecar.source().await;
    first.opened(vec![]).await;
    journal.until("restore").await;
    drop(first);
    let second = sidecar.source().await;
    second.opened(vec![Position { source_partition: "f".to_owned(), ..Position::default() }]).await;
    second.demand(1).await;
    journal.until("empty poll").await;
    drop(second);
    running.stop().await.expect("a clean end");

    let mut calls = journal.entries();
    calls.retain(|entry| entry != "empty poll");
    assert_eq!(calls, ["initialize", "producer_configs", "restore", "shutdown"]);
}

#[tokio::test]
async fn a_killed_sidecar_is_waited_for() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut sidecar = ScriptedSidecar::on_unix(directory.path()).await;
    let journal = Journal::new();
    let polls = vec![texts(&["a"])];
    let _running = run_source(PollSource::new(&journal, polls), &sidecar.address).await;
    let mut session = sidecar.source().await;
    session.opened(vec![]).await;
    session.demand(1).await;
    session.take(1, 1).await;
    sidecar.kill();

    let mut sidecar = ScriptedSidecar::on_unix(directory.path()).await;
    let mut session = sidecar.source().await;
    session.opened(vec![]).await;
    session.demand(1).await;
    assert_eq!(session.texts(1, 1).await, ["a"]);
}

#[tokio::test]
async fn a_sidecar_that_commits_what_was_not_sent_is_left() {
    let mut sidecar = ScriptedSidecar::on_tcp().await;
    let source = PollSource::new(&Journal::new(), vec![texts(&["a"])]);
    let _running = run_source(source, &sidecar.address).await;
    let mut session = sidecar.source().await;
    session.opened(vec![]).await;
    session.demand(1).await;
    session.take(1, 1).await;
    session.committed(2).await;

    let mut second = sidecar.source().await;
    second.opened(vec![]).await;
    second.demand(1).await;
    assert_eq!(second.texts(1, 1).await, ["a"]);
}

#[tokio::test]
async fn a_stop_while_the_sidecar_is_away_waits_for_it_to_take_what_is_in_hand() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut sidecar = ScriptedSidecar::on_unix(directory.path()).await;
    let journal = Journal::new();
    let polls = vec![texts(&["a"])];
    let running = run_source(PollSource::new(&journal, polls), &sidecar.address).await;
    let mut session = sidecar.source().await;
    session.opened(vec![]).await;
    session.demand(1).await;
    session.take(1, 1).await;
    sidecar.kill();
    running.stop.stop();

    let mut sidecar = ScriptedSidecar::on_unix(directory.path()).await;
    let mut session = sidecar.source().await;
    session.opened(vec![]).await;
    session.demand(1).await;
    session.take(1, 1).await;
    session.committed(1).await;
    drop(session);
    running.end().await.expect("a clean end");
    assert!(journal.entries().contains(&"commit /default/events:0".to_owned()));
}
