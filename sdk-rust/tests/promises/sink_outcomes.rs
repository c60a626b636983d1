//! What becomes of each record.

use danube_connector_proto::v1::{Outcome, SinkFailure, sink_service_run_request::Frame};
use danube_connector_sdk::SinkConnector;

use crate::{
    connectors::{BatchSink, Journal, ResultsSink, Running, SingleSink, run_sink},
    sidecar::{ScriptedSidecar, SinkScript, record},
};

/// A running sink and its open session.
async fn start<C: SinkConnector + 'static>(sink: C) -> (ScriptedSidecar, Running, SinkScript) {
    let mut sidecar = ScriptedSidecar::on_tcp().await;
    let running = run_sink(sink, &sidecar.address).await;
    let session = sidecar.sink().await;
    session.opened().await;
    (sidecar, running, session)
}

fn ids(failures: &[SinkFailure], outcome: Outcome) -> Vec<u64> {
    let same = |failure: &&SinkFailure| failure.outcome() == outcome;
    failures.iter().filter(same).map(|failure| failure.delivery_id).collect()
}

#[tokio::test]
async fn a_record_that_fails_leaves_its_neighbours_alone() {
    let journal = Journal::new();
    let (_sidecar, running, mut session) = start(SingleSink::new(&journal)).await;
    let texts = ["a", "retry", "bad", "d"];
    session.batch((1..).zip(texts).map(|(id, text)| record(id, None, text)).collect()).await;
    let (acked, failures) = session.outcomes(4).await;
    drop(session);
    running.stop().await.expect("a clean end");

    assert_eq!(acked, [1, 4]);
    assert_eq!(ids(&failures, Outcome::Retry), [2]);
    assert_eq!(ids(&failures, Outcome::Reject), [3]);
    let processed: Vec<_> =
        journal.entries().into_iter().filter(|entry| entry.starts_with("process")).collect();
    assert_eq!(processed, ["process a", "process retry", "process bad", "process d"]);
}

#[tokio::test]
async fn a_failure_carries_its_code_and_reason() {
    let (_sidecar, _running, mut session) = start(SingleSink::new(&Journal::new())).await;
    session.batch(vec![record(1, None, "bad")]).await;
    let (_, failures) = session.outcomes(1).await;

    assert_eq!(failures[0].code, "INVALID_DATA");
    assert!(failures[0].message.contains("malformed"));
}

#[tokio::test]
async fn records_of_a_key_wait_for_the_one_that_is_retried() {
    let journal = Journal::new();
    let (_sidecar, _running, mut session) = start(SingleSink::new(&journal)).await;
    let batch = vec![
        record(1, Some("k"), "retry"),
        record(2, Some("k"), "second"),
        record(3, Some("other"), "third"),
    ];
    session.batch(batch).await;
    let (acked, failures) = session.outcomes(3).await;
    assert_eq!(acked, [3]);
    assert_eq!(ids(&failures, Outcome::Retry), [1, 2]);

    let again = |id, text| {
        let first = record(id, Some("k"), text);
        danube_connector_proto::v1::SinkRecord { attempt: 2, ..first }
    };
    session.batch(vec![again(4, "first"), again(5, "second")]).await;
    assert_eq!(session.outcomes(2).await.0, [4, 5]);
    assert!(!journal.entries()[..5].contains(&"process second".to_owned()));
}

#[tokio::test]
async fn process_batch_gets_the_whole_batch_and_acks_it() {
    let journal = Journal::new();
    let (_sidecar, _running, mut session) = start(BatchSink { journal: journal.clone() }).await;
    session.batch(vec![record(1, None, "a"), record(2, None, "b"), record(3, None, "c")]).await;

    assert_eq!(session.outcomes(3).await.0, [1, 2, 3]);
    assert_eq!(journal.entries(), ["batch a b c"]);
}

#[tokio::test]
async fn a_batch_that_failed_for_now_is_retried_as_a_whole() {
    let journal = Journal::new();
    let (_sidecar, _running, mut session) = start(BatchSink { journal: journal.clone() }).await;
    session.batch(vec![record(1, None, "a"), record(2, None, "retry"), record(3, None, "c")]).await;
    let (acked, failures) = session.outcomes(3).await;

    assert!(acked.is_empty());
    assert_eq!(ids(&failures, Outcome::Retry), [1, 2, 3]);
    assert_eq!(journal.entries(), ["batch a retry c"]);
}

#[tokio::test]
async fn a_batch_with_wrong_data_is_halved_until_that_stands_alone() {
    let journal = Journal::new();
    let (mut sidecar, _running, mut session) = start(BatchSink { journal: journal.clone() }).await;
    let batch = || {
        let texts = ["a", "b", "bad", "d"];
        (1..).zip(texts).map(|(id, text)| record(id, None, text)).collect()
    };
    session.batch(batch()).await;
    // There is no copy of the first one that is refused: it has to come again.
    assert!(matches!(session.next().await, Some(Frame::Drained(_))));
    drop(session);
    let mut session = sidecar.sink().await;
    session.opened().await;
    for _ in 0..2 {
        session.batch(batch()).await;
        let (acked, failures) = session.outcomes(4).await;

        assert_eq!(acked, [1, 2, 4]);
        assert_eq!(ids(&failures, Outcome::Reject), [3]);
    }
    let halved = ["batch a b bad d", "batch a b", "batch bad d", "batch bad", "batch d"];
    assert_eq!(journal.entries(), [&halved[..1], &halved, &halved].concat());
}

#[tokio::test]
async fn a_sink_may_say_what_became_of_each_record_of_a_batch() {
    let journal = Journal::new();
    let sink = ResultsSink { journal: journal.clone(), forgets_one: false };
    let (_sidecar, _running, mut session) = start(sink).await;
    session
        .batch(vec![record(1, None, "a"), record(2, None, "retry"), record(3, None, "bad")])
        .await;
    let (acked, failures) = session.outcomes(3).await;

    assert_eq!(acked, [1]);
    assert_eq!(ids(&failures, Outcome::Retry), [2]);
    assert_eq!(ids(&failures, Outcome::Reject), [3]);
    assert_eq!(journal.entries(), ["results 3"]);
}

#[tokio::test]
async fn a_sink_that_forgets_a_result_is_stopped() {
    let sink = ResultsSink { journal: Journal::new(), forgets_one: true };
    let (_sidecar, running, mut session) = start(sink).await;
    session.batch(vec![record(1, None, "a"), record(2, None, "b")]).await;
    session.next().await.expect("a fault");
    drop(session);
    let error = running.end().await.expect_err("it cannot be trusted");

    assert!(error.to_string().contains("1 results for 2 records"), "{error}");
}
