//! While the external system takes nothing, it is left alone.

use std::time::Duration;

use danube_connector_proto::v1::{Outcome, SinkFailure, SinkRecord};

use crate::{
    connectors::{Journal, OutcomesSink, run_sink},
    sidecar::{ScriptedSidecar, record},
};

fn again(id: u64, key: Option<&str>, text: &str) -> SinkRecord {
    SinkRecord { attempt: 2, ..record(id, key, text) }
}

fn after(failure: &SinkFailure) -> Duration {
    failure.retry_after.map(|after| after.try_into().expect("a time")).unwrap_or_default()
}

async fn stays_away_until_the_pause_is_over(in_batches: bool) {
    let (journal, pause) = (Journal::new(), Duration::from_millis(600));
    let mut sidecar = ScriptedSidecar::on_tcp().await;
    let sink = OutcomesSink { journal: journal.clone(), in_batches, pause };
    let _running = run_sink(sink, &sidecar.address).await;
    let mut session = sidecar.sink().await;
    session.opened().await;
    session.batch(vec![record(1, Some("k"), "busy")]).await;
    session.batch(vec![record(2, None, "b"), record(3, Some("k"), "c")]).await;
    let (acked, failures) = session.outcomes(3).await;

    assert!(acked.is_empty());
    assert_eq!(after(&failures[0]), pause);
    for failure in &failures {
        assert_eq!((failure.outcome(), failure.code.as_str()), (Outcome::Busy, "LIMIT"));
        assert!(!after(failure).is_zero() && after(failure) <= pause, "{failure:?}");
    }
    assert_eq!(journal.entries(), ["busy"]);

    tokio::time::sleep(pause).await;
    // What was sent before the sidecar heard of it must not overtake what comes again.
    session.batch(vec![record(4, Some("k"), "d"), record(5, None, "e")]).await;
    let (acked, failures) = session.outcomes(2).await;
    assert_eq!(acked, [5]);
    assert_eq!((failures[0].outcome(), failures[0].code.as_str()), (Outcome::Retry, "HELD"));
    session.batch(vec![again(6, Some("k"), "a"), again(7, Some("k"), "c")]).await;
    assert_eq!(session.outcomes(2).await.0, [6, 7]);
}

#[tokio::test]
async fn behind_a_busy_record_all_in_hand_is_handed_back_without_a_call() {
    stays_away_until_the_pause_is_over(false).await;
}

#[tokio::test]
async fn behind_a_busy_batch_all_in_hand_is_handed_back_without_a_call() {
    stays_away_until_the_pause_is_over(true).await;
}

#[tokio::test]
async fn a_pause_outlives_the_session() {
    let (journal, pause) = (Journal::new(), Duration::from_secs(3600));
    let mut sidecar = ScriptedSidecar::on_tcp().await;
    let sink = OutcomesSink { journal: journal.clone(), in_batches: false, pause };
    let _running = run_sink(sink, &sidecar.address).await;
    for text in ["busy", "b"] {
        let mut session = sidecar.sink().await;
        session.opened().await;
        session.batch(vec![record(1, None, text)]).await;
        let (_, failures) = session.outcomes(1).await;
        assert_eq!(failures[0].outcome(), Outcome::Busy);
    }

    assert_eq!(journal.entries(), ["busy"]);
}
