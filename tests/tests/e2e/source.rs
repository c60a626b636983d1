//! Connector → sidecar → Danube.

use danube_connector_proto::v1::{
    Capability, Drained, Health, SourceRecord, SourceRecords, health,
    source_service_run_request::Frame, source_service_run_response::Frame as In,
};
use danube_sidecar_tests::{
    Broker, Sidecar, SidecarBuilder, SourceSession, consume, publish, unique,
};
use tonic::Code;

fn payloads(count: usize) -> Vec<String> {
    (0..count).map(|n| format!("record {n}")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_source_sends_reaches_a_danube_program_in_order() {
    let broker = Broker::start().await;
    let sidecar = Sidecar::start(broker.url()).await;
    let (topic, name) = (unique("/default/out"), unique("source"));
    publish(broker.url(), &topic, &[]).await;
    let (mut source, opened) = SourceSession::open(&sidecar, &name, &topic).await;
    assert!(opened.positions.is_empty());

    // Fewer than the 256 messages by which a Danube consumer may fall behind.
    let sent = payloads(200);
    let received = consume(broker.url(), &topic, 200, async {
        source.records(1, &sent).await;
        source.committed(200).await;
    })
    .await;

    let received: Vec<String> = received.into_iter().map(|(_, payload)| payload).collect();
    assert_eq!(received, sent);
}

#[tokio::test(flavor = "multi_thread")]
async fn committed_positions_come_back_after_a_restart() {
    let broker = Broker::start().await;
    let data = tempfile::tempdir().unwrap();
    let (topic, name) = (unique("/default/out"), unique("source"));
    let start = || SidecarBuilder::new(broker.url()).data_dir(data.path()).start();

    let mut sidecar = start().await;
    let (mut source, first) = SourceSession::open(&sidecar, &name, &topic).await;
    source.records(1, &payloads(10)).await;
    source.committed(10).await;
    sidecar.process().kill().await;

    let sidecar = start().await;
    let (_, second) = SourceSession::open(&sidecar, &name, &topic).await;
    assert_eq!(second.positions.len(), 1);
    let position = &second.positions[0];
    assert_eq!((position.source_partition.as_str(), position.offset), ("file", 10));
    assert!(second.epoch > first.epoch);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_newer_session_takes_over_and_the_older_ends_with_aborted() {
    let broker = Broker::start().await;
    let sidecar = Sidecar::start(broker.url()).await;
    let (topic, name) = (unique("/default/out"), unique("source"));
    let (mut older, _) = SourceSession::open(&sidecar, &name, &topic).await;
    older.records(1, &payloads(5)).await;
    older.committed(5).await;

    let (mut newer, opened) = SourceSession::open(&sidecar, &name, &topic).await;

    assert_eq!(opened.positions[0].offset, 5);
    let status = loop {
        match older.next().await {
            Err(status) => break status,
            Ok(frame) => assert!(frame.is_some(), "the older session ended without a status"),
        }
    };
    assert_eq!(status.code(), Code::Aborted, "{status:?}");
    newer.records(6, &payloads(1)).await;
    newer.committed(1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_for_an_undeclared_topic_is_rejected_and_the_others_go_on() {
    let broker = Broker::start().await;
    let sidecar = Sidecar::start(broker.url()).await;
    let (topic, name) = (unique("/default/out"), unique("source"));
    let (mut source, _) = SourceSession::open(&sidecar, &name, &topic).await;
    let record = |topic: &str| SourceRecord {
        topic: topic.to_owned(),
        payload: "x".into(),
        ..SourceRecord::default()
    };
    let records = vec![record(&topic), record("/default/undeclared"), record(&topic)];
    source.send(Frame::Records(SourceRecords { first_number: 1, records })).await;

    let (mut rejected, mut committed) = (None, 0);
    while committed < 3 {
        match source.next().await {
            Ok(Some(In::Rejected(frame))) => rejected = Some(frame),
            Ok(Some(In::Committed(frame))) => committed = frame.number,
            Ok(Some(_)) => {}
            other => panic!("expected `committed` and `rejected`, got {other:?}"),
        }
    }
    let rejected = rejected.expect("`rejected` comes before the `committed` that covers it");
    assert_eq!((rejected.number, rejected.code.as_str()), (2, "UNDECLARED_TOPIC"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_says_drained_is_committed_and_ends_well() {
    let broker = Broker::start().await;
    let sidecar = Sidecar::start(broker.url()).await;
    let (topic, name) = (unique("/default/out"), unique("source"));
    let (mut source, _) = SourceSession::open(&sidecar, &name, &topic).await;
    source.records(1, &payloads(20)).await;
    source.send(Frame::Drained(Drained {})).await;

    source.committed(20).await;
    let mut last = source.next().await;
    while let Ok(Some(_)) = last {
        last = source.next().await;
    }
    assert!(matches!(last, Ok(None)), "{last:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_can_answer_is_asked_for_the_external_systems_health() {
    let broker = Broker::start().await;
    let sidecar = Sidecar::start(broker.url()).await;
    let (topic, name) = (unique("/default/out"), unique("source"));
    let (mut source, _) =
        SourceSession::open_with(&sidecar, &name, &topic, &[Capability::Probe]).await;
    let gauge = |value| format!("danube_connector_health{{connector=\"{name}\"}} {value}\n");

    let probe_id = source.probed().await;
    let health = |status: health::Status, message: &str| {
        Frame::Health(Health {
            probe_id,
            status: status.into(),
            message: message.to_owned(),
            checked: false,
        })
    };
    source.send(health(health::Status::Unhealthy, "no such folder")).await;
    sidecar.shows("/metrics", &gauge(0)).await;
    assert_eq!(sidecar.source(&name).await["unwell"], "no such folder");

    source.send(health(health::Status::Healthy, "")).await;
    sidecar.shows("/metrics", &gauge(1)).await;
    assert!(sidecar.source(&name).await["unwell"].is_null());
}
