//! The sink's frames.

use std::{sync::Arc, time::Duration};

use danube_connector_proto::v1::{
    self, Capability, Probe, SinkServiceRunResponse, health, sink_service_run_request::Frame as Up,
    sink_service_run_response::Frame as Down,
};
use danube_connector_sdk::{ConnectorConfig, ProcessingSettings, SinkRuntime};
use tokio::sync::Semaphore;
use tonic::Status;

use crate::{
    connectors::{BatchSink, Journal, SingleSink, run_sink, spawn_sink},
    sidecar::{ScriptedSidecar, record},
};

#[tokio::test]
async fn open_says_what_the_guides_configuration_says() {
    let mut sidecar = ScriptedSidecar::on_tcp().await;
    let config = ConnectorConfig {
        danube_service_url: "http://danube:6650".to_owned(),
        connector_name: "orders".to_owned(),
        processing: ProcessingSettings {
            batch_size: 50,
            batch_timeout_ms: 20,
            ..ProcessingSettings::default()
        },
        ..ConnectorConfig::default()
    };
    let runtime = SinkRuntime::new(SingleSink::new(&Journal::new()), config).await.expect("valid");
    let _running = spawn_sink(runtime.with_sidecar_address(&sidecar.address).expect("an address"));
    let open = sidecar.sink().await.open;

    assert_eq!(open.connector, "orders");
    assert_eq!(open.danube_service_url, "http://danube:6650");
    assert_eq!((open.window_records, open.max_batch_records), (200, 50));
    assert_eq!(open.linger.map(|linger| linger.nanos), Some(20_000_000));
    assert_eq!(open.retry.and_then(|retry| retry.max_retries), Some(3));
    assert_eq!(open.ordering, None);
    assert!(open.sdk.starts_with("danube-connector-sdk/"), "{}", open.sdk);
    let capabilities: Vec<_> =
        open.capabilities.iter().map(|one| Capability::try_from(*one)).collect();
    assert_eq!(
        capabilities,
        [Ok(Capability::Probe), Ok(Capability::Drain), Ok(Capability::Schema)]
    );
    let subscription = &open.subscriptions[0];
    assert_eq!(subscription.topic, "/default/orders");
    assert_eq!(subscription.subscription, "subscription");
    assert_eq!(subscription.consumer_name, "consumer");
    assert_eq!(subscription.r#type(), v1::SubscriptionType::Shared);
}

#[tokio::test]
async fn a_probe_is_answered_from_the_health_check() {
    let mut sidecar = ScriptedSidecar::on_tcp().await;
    let mut sink = SingleSink::new(&Journal::new());
    sink.healthy = false;
    let _running = run_sink(sink, &sidecar.address).await;
    let mut session = sidecar.sink().await;
    session.opened().await;
    session.send(Down::Probe(Probe { probe_id: 4 })).await;

    let Some(Up::Health(health)) = session.next().await else { panic!("no health") };
    assert_eq!(health.probe_id, 4);
    assert_eq!(health.status(), health::Status::Unhealthy);
    assert!(health.message.contains("no database"));
}

#[tokio::test]
async fn a_probe_is_answered_between_the_records_of_a_batch() {
    let (mut sidecar, journal) = (ScriptedSidecar::on_tcp().await, Journal::new());
    let gate = Arc::new(Semaphore::new(0));
    let mut sink = SingleSink::new(&journal);
    sink.gate = Some(gate.clone());
    let _running = run_sink(sink, &sidecar.address).await;
    let mut session = sidecar.sink().await;
    session.opened().await;
    session.batch((1..=1000).map(|id| record(id, None, &id.to_string())).collect()).await;
    session.send(Down::Probe(Probe { probe_id: 1 })).await;
    let mut processed = 0;
    let healthy = loop {
        let next = format!("process {}", processed + 1);
        tokio::select! {
            frame = session.next() => if let Some(Up::Health(health)) = frame { break health },
            _ = journal.until(&next) => {
                processed += 1;
                gate.add_permits(1);
            }
        }
    };

    assert_eq!(healthy.status(), health::Status::Healthy);
    assert!(processed < 1000);
}

#[tokio::test]
async fn a_record_that_takes_its_time_does_not_hold_the_acks_of_others() {
    let mut sidecar = ScriptedSidecar::on_tcp().await;
    let gate = Arc::new(Semaphore::new(1));
    let mut sink = SingleSink::new(&Journal::new());
    sink.gate = Some(gate.clone());
    let _running = run_sink(sink, &sidecar.address).await;
    let mut session = sidecar.sink().await;
    session.opened().await;
    session.batch(vec![record(1, None, "a"), record(2, None, "b")]).await;

    assert_eq!(session.outcomes(1).await.0, [1]);
    gate.add_permits(1);
    assert_eq!(session.outcomes(1).await.0, [2]);
}

#[tokio::test]
async fn frames_that_it_does_not_know_are_ignored() {
    let mut sidecar = ScriptedSidecar::on_tcp().await;
    let _running = run_sink(SingleSink::new(&Journal::new()), &sidecar.address).await;
    let mut session = sidecar.sink().await;
    session.opened().await;
    session.send_raw(SinkServiceRunResponse { frame: None }).await;
    session.send(Down::Schema(v1::Schema::default())).await;
    session.batch(vec![record(1, None, "a")]).await;

    assert_eq!(session.outcomes(1).await.0, [1]);
}

#[tokio::test]
async fn a_lost_session_is_opened_again_and_nothing_is_initialized_twice() {
    let (mut sidecar, journal) = (ScriptedSidecar::on_tcp().await, Journal::new());
    let _running = run_sink(SingleSink::new(&journal), &sidecar.address).await;
    let first = sidecar.sink().await;
    first.opened().await;
    first.fail(Status::internal("bug")).await;
    let mut second = sidecar.sink().await;
    second.opened().await;
    second.batch(vec![record(1, None, "a")]).await;

    assert_eq!(second.outcomes(1).await.0, [1]);
    assert_eq!(journal.entries(), ["initialize", "consumer_configs", "process a"]);
}

#[tokio::test]
async fn answers_to_a_lost_session_are_not_sent_in_the_next() {
    let (mut sidecar, journal) = (ScriptedSidecar::on_tcp().await, Journal::new());
    let gate = Arc::new(Semaphore::new(0));
    let mut sink = SingleSink::new(&journal);
    sink.gate = Some(gate.clone());
    let _running = run_sink(sink, &sidecar.address).await;
    let first = sidecar.sink().await;
    first.opened().await;
    first.batch(vec![record(41, None, "old")]).await;
    journal.until("process old").await;
    first.fail(Status::deadline_exceeded("no result in time")).await;
    gate.add_permits(2);
    let mut second = sidecar.sink().await;
    second.opened().await;
    second.batch(vec![record(1, None, "new")]).await;

    assert_eq!(second.outcomes(1).await.0, [1]);
}

#[tokio::test]
async fn an_idle_sink_is_ticked_where_that_was_asked_for() {
    let (mut sidecar, journal) = (ScriptedSidecar::on_tcp().await, Journal::new());
    let sink = BatchSink { journal: journal.clone() };
    let runtime = SinkRuntime::new(sink, ConnectorConfig::default()).await.expect("valid");
    let runtime = runtime.with_sidecar_address(&sidecar.address).expect("an address");
    let _running = spawn_sink(runtime.with_idle_tick(Duration::from_millis(1)));
    let session = sidecar.sink().await;
    session.opened().await;

    journal.until("batch").await;
}

#[tokio::test]
async fn an_idle_sink_is_left_alone_by_default() {
    let (mut sidecar, journal) = (ScriptedSidecar::on_tcp().await, Journal::new());
    let _running = run_sink(BatchSink { journal: journal.clone() }, &sidecar.address).await;
    let mut session = sidecar.sink().await;
    session.opened().await;
    for probe_id in 1..=20 {
        session.send(Down::Probe(Probe { probe_id })).await;
        session.next().await.expect("health");
    }

    assert!(journal.entries().is_empty());
}
