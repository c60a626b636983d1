//! What is called when, and how a source ends.

use danube_connector_proto::v1::{
    Capability, Position, SourcePositions, source_service_run_request::Frame as Up,
    source_service_run_response::Frame as Down,
};
use danube_connector_sdk::{ConnectorError, Offset, SourceRecord};
use tonic::Status;

use crate::{
    connectors::{AtEnd, Journal, PollSource, run_source, texts},
    sidecar::ScriptedSidecar,
};

#[tokio::test]
async fn calls_come_in_the_guides_order() {
    let (mut sidecar, journal) = (ScriptedSidecar::on_tcp().await, Journal::new());
    let running =
        run_source(PollSource::new(&journal, vec![texts(&["a"])]), &sidecar.address).await;
    let mut session = sidecar.source().await;
    session.opened(vec![]).await;
    session.demand(10).await;
    session.take(1, 1).await;
    session.committed(1).await;
    journal.until("commit /default/events:0").await;
    running.stop.stop();
    assert!(matches!(session.next().await, Some(Up::Drained(_))));
    drop(session);
    running.end().await.expect("a clean end");

    let mut calls = journal.entries();
    calls.retain(|entry| entry != "empty poll");
    assert_eq!(
        calls,
        [
            "initialize",
            "producer_configs",
            "restore",
            "poll",
            "commit /default/events:0",
            "shutdown"
        ]
    );
}

#[tokio::test]
async fn open_names_the_producers() {
    let mut sidecar = ScriptedSidecar::on_tcp().await;
    let _running = run_source(PollSource::new(&Journal::new(), vec![]), &sidecar.address).await;
    let open = sidecar.source().await.open;

    assert_eq!(open.connector, "under-test");
    assert_eq!(open.danube_service_url, "http://localhost:6650");
    let producer = &open.producers[0];
    assert_eq!(producer.topic, "/default/events");
    assert_eq!((producer.partitions, producer.reliable), (4, Some(true)));
}

#[tokio::test]
async fn restore_gets_the_last_committed_positions() {
    let (mut sidecar, journal) = (ScriptedSidecar::on_tcp().await, Journal::new());
    let _running = run_source(PollSource::new(&journal, vec![]), &sidecar.address).await;
    let position = Position {
        source_partition: "file".to_owned(),
        offset: 42,
        metadata: Some("inode".to_owned()),
    };
    sidecar.source().await.opened(vec![position]).await;

    journal.until("restore file:42").await;
}

#[tokio::test]
async fn restore_gets_positions_that_come_in_pages_together() {
    let (mut sidecar, journal) = (ScriptedSidecar::on_tcp().await, Journal::new());
    let _running = run_source(PollSource::new(&journal, vec![]), &sidecar.address).await;
    let place =
        |name: &str, offset| Position { source_partition: name.to_owned(), offset, metadata: None };
    let session = sidecar.source().await;
    assert!(session.open.capabilities.contains(&Capability::PositionPages.into()));

    session.opened_with_more(vec![place("a", 1)]).await;
    for (page, more) in [(place("b", 2), true), (place("c", 3), false)] {
        let page = SourcePositions { positions: vec![page], more };
        session.send(Down::Positions(page)).await;
    }

    journal.until("restore a:1 b:2 c:3").await;
}

#[tokio::test]
async fn nothing_is_polled_without_demand_or_sent_beyond_it() {
    let (mut sidecar, journal) = (ScriptedSidecar::on_tcp().await, Journal::new());
    let polls = vec![texts(&["a", "b", "c"]), texts(&["d"])];
    let _running = run_source(PollSource::new(&journal, polls), &sidecar.address).await;
    let mut session = sidecar.source().await;
    session.opened(vec![]).await;
    session.expect_nothing().await;
    assert!(!journal.entries().contains(&"poll".to_owned()));

    session.demand(2).await;
    assert_eq!(session.texts(1, 2).await, ["a", "b"]);
    session.expect_nothing().await;
    session.demand(4).await;
    assert_eq!(session.texts(3, 2).await, ["c", "d"]);
}

#[tokio::test]
async fn records_carry_what_the_connector_gave_them() {
    let mut sidecar = ScriptedSidecar::on_tcp().await;
    let record = SourceRecord::from_string("/default/events", "x")
        .with_key("k")
        .with_attribute("a", "1")
        .with_offset(Offset::with_metadata("file", 3, "m"));
    let polls = vec![vec![record]];
    let _running = run_source(PollSource::new(&Journal::new(), polls), &sidecar.address).await;
    let mut session = sidecar.source().await;
    session.opened(vec![]).await;
    session.demand(1).await;
    let record = session.take(1, 1).await.remove(0);

    assert_eq!(record.topic, "/default/events");
    assert_eq!(record.key.as_deref(), Some("k"));
    assert_eq!(record.attributes["a"], "1");
    let position = record.position.expect("it has one");
    assert_eq!((position.source_partition.as_str(), position.offset), ("file", 3));
    assert_eq!(position.metadata.as_deref(), Some("m"));
}

#[tokio::test]
async fn a_stop_waits_for_what_is_in_hand() {
    let (mut sidecar, journal) = (ScriptedSidecar::on_tcp().await, Journal::new());
    let source = PollSource::new(&journal, vec![texts(&["a", "b"])]);
    let running = run_source(source, &sidecar.address).await;
    let mut session = sidecar.source().await;
    session.opened(vec![]).await;
    session.demand(2).await;
    session.take(1, 2).await;
    running.stop.stop();
    assert!(matches!(session.next().await, Some(Up::Drained(_))));
    session.committed(2).await;
    journal.until("commit /default/events:0 /default/events:1").await;
    drop(session);

    running.end().await.expect("a clean end");
    assert_eq!(journal.entries().last().map(String::as_str), Some("shutdown"));
}

#[tokio::test]
async fn another_process_that_takes_over_ends_the_run() {
    let (mut sidecar, journal) = (ScriptedSidecar::on_tcp().await, Journal::new());
    let running = run_source(PollSource::new(&journal, vec![]), &sidecar.address).await;
    let session = sidecar.source().await;
    session.opened(vec![]).await;
    session.fail(Status::aborted("superseded by epoch 8")).await;
    let error = running.end().await.expect_err("superseded");

    assert!(error.is_fatal());
    assert!(error.to_string().contains("taken over"), "{error}");
    assert_eq!(journal.entries().last().map(String::as_str), Some("shutdown"));
}

#[tokio::test]
async fn a_poll_that_fails_for_now_is_called_again() {
    let (mut sidecar, journal) = (ScriptedSidecar::on_tcp().await, Journal::new());
    let mut source = PollSource::new(&journal, vec![texts(&["a"])]);
    source.polls.push_front(Err(ConnectorError::retryable("timeout")));
    let mut config = crate::connectors::config();
    config.retry.retry_backoff_ms = 1;
    let _running = crate::connectors::run_source_with(source, config, &sidecar.address).await;
    let mut session = sidecar.source().await;
    session.opened(vec![]).await;
    session.demand(1).await;

    assert_eq!(session.texts(1, 1).await, ["a"]);
}

#[tokio::test]
async fn a_fatal_poll_is_told_to_the_sidecar_and_ends_the_run() {
    let (mut sidecar, journal) = (ScriptedSidecar::on_tcp().await, Journal::new());
    let mut source = PollSource::new(&journal, vec![]);
    source.polls.push_front(Err(ConnectorError::fatal("schema is gone")));
    let running = run_source(source, &sidecar.address).await;
    let mut session = sidecar.source().await;
    session.opened(vec![]).await;
    session.demand(1).await;

    assert!(matches!(session.next().await, Some(Up::Fault(_))));
    drop(session);
    assert!(running.end().await.expect_err("fatal").to_string().contains("schema is gone"));
}

#[tokio::test]
async fn a_drain_stops_the_records_and_the_source_comes_back() {
    let (mut sidecar, journal) = (ScriptedSidecar::on_tcp().await, Journal::new());
    let source = PollSource::new(&journal, vec![texts(&["a"]), texts(&["b"])]);
    let _running = run_source(source, &sidecar.address).await;
    let mut session = sidecar.source().await;
    session.opened(vec![]).await;
    session.demand(1).await;
    session.take(1, 1).await;
    session.send(Down::Drain(danube_connector_proto::v1::Drain::default())).await;
    assert!(matches!(session.next().await, Some(Up::Drained(_))));
    session.committed(1).await;
    journal.until("commit /default/events:0").await;
    drop(session);

    let mut session = sidecar.source().await;
    session.opened(vec![]).await;
    session.demand(5).await;
    assert_eq!(session.texts(1, 1).await, ["b"]);
}

#[tokio::test]
async fn a_record_that_no_frame_can_carry_ends_the_run() {
    let mut sidecar = ScriptedSidecar::on_tcp().await;
    let polls = vec![vec![SourceRecord::new("/default/events", vec![0; 5 << 20])]];
    let running = run_source(PollSource::new(&Journal::new(), polls), &sidecar.address).await;
    let mut session = sidecar.source().await;
    session.opened(vec![]).await;
    session.demand(1).await;
    assert!(matches!(session.next().await, Some(Up::Fault(_))));
    drop(session);
    let error = running.end().await.expect_err("too large");

    assert!(error.is_fatal() && error.to_string().contains("/default/events"), "{error}");
}

#[tokio::test]
async fn a_finished_source_ends_the_run_when_all_is_committed() {
    let (mut sidecar, journal) = (ScriptedSidecar::on_tcp().await, Journal::new());
    let mut source = PollSource::new(&journal, vec![texts(&["a"])]);
    source.at_end = AtEnd::Finishes;
    let running = run_source(source, &sidecar.address).await;
    let mut session = sidecar.source().await;
    session.opened(vec![]).await;
    session.demand(5).await;
    session.take(1, 1).await;
    assert!(matches!(session.next().await, Some(Up::Drained(_))));
    session.committed(1).await;
    journal.until("commit /default/events:0").await;
    drop(session);

    running.end().await.expect("a clean end");
}

#[tokio::test]
async fn a_poll_that_never_returns_is_left_some_time_after_a_stop() {
    let (mut sidecar, journal) = (ScriptedSidecar::on_tcp().await, Journal::new());
    let mut source = PollSource::new(&journal, vec![]);
    source.at_end = AtEnd::Hangs;
    let running = run_source(source, &sidecar.address).await;
    let mut session = sidecar.source().await;
    session.opened(vec![]).await;
    session.demand(5).await;
    journal.until("hanging").await;
    running.stop.stop();
    assert!(matches!(session.next().await, Some(Up::Drained(_))));
    drop(session);

    running.end().await.expect("a clean end");
}
