//! Danube → sidecar → connector.

use danube_connector_proto::v1::{
    Capability, Health, Outcome, SinkFlow, SinkOpen, health, sink_service_run_request::Frame,
};
use danube_sidecar_tests::{
    Broker, Sidecar, SidecarBuilder, SinkWorker, consume, eventually, open, publish, publish_keyed,
    unique,
};
use serde_json::json;

fn payloads(count: usize) -> Vec<String> {
    (0..count).map(|n| format!("record {n}")).collect()
}

/// Quick retries, and topics that exist before anybody publishes.
const QUICK: &str = "[danube]\ncreate_topics = true\n\
                     [retry]\nmax_retries = 1\nretry_backoff_ms = 1\nmax_backoff_ms = 1\n";

async fn quick(broker: &Broker) -> Sidecar {
    SidecarBuilder::new(broker.url()).config(QUICK).start().await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_danube_program_publishes_arrives_in_order() {
    let broker = Broker::start().await;
    let sidecar = quick(&broker).await;
    let (topic, name) = (unique("/default/in"), unique("sink"));
    let (mut worker, opened) = SinkWorker::open(&sidecar, open(&name, &topic)).await;
    assert_eq!((opened.protocol_version, opened.settings_json.as_str()), (1, "{}"));
    sidecar.attached(&name).await;

    let sent = payloads(200);
    publish(broker.url(), &topic, &sent).await;

    assert_eq!(worker.write(200).await, sent);
    sidecar.settled(&name).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_carries_what_danube_knows_of_it() {
    let broker = Broker::start().await;
    let sidecar = quick(&broker).await;
    let (topic, name) = (unique("/default/in"), unique("sink"));
    let (mut worker, _) = SinkWorker::open(&sidecar, open(&name, &topic)).await;
    sidecar.attached(&name).await;

    publish_keyed(broker.url(), &topic, &[(Some("k"), "hello")]).await;
    let record = worker.take(1).await.remove(0);

    assert_eq!((record.topic.as_str(), record.partition_topic.as_str()), (&*topic, &*topic));
    assert_eq!((record.key.as_deref(), &*record.payload), (Some("k"), &b"hello"[..]));
    assert_eq!((record.attempt, record.delivery_id), (1, 1));
    assert_eq!(record.attributes["test"], "yes");
    assert_eq!((record.dedup_id.len(), record.subscription.as_str()), (32, &*name));
    assert!(record.publish_time_ms > 1_600_000_000_000, "{}", record.publish_time_ms);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_failed_comes_again_and_holds_only_its_own_key() {
    let broker = Broker::start().await;
    let sidecar = quick(&broker).await;
    let (topic, name) = (unique("/default/in"), unique("sink"));
    let (mut worker, _) = SinkWorker::open(&sidecar, open(&name, &topic)).await;
    sidecar.attached(&name).await;

    publish_keyed(broker.url(), &topic, &[(Some("a"), "a1"), (Some("b"), "b1")]).await;
    let records = worker.take(2).await;
    worker.fail(&records[0], Outcome::Retry).await;
    worker.ack(&records[1..]).await;
    let again = worker.take(1).await.remove(0);

    assert_eq!((again.attempt, &*again.payload), (2, &b"a1"[..]));
    assert_eq!(again.dedup_id, records[0].dedup_id);
    worker.ack(&[again]).await;
    sidecar.settled(&name).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rejected_record_becomes_a_dead_letter_that_says_why() {
    let broker = Broker::start().await;
    let (topic, name) = (unique("/default/in"), unique("sink"));
    let letters = unique("/default/letters");
    let config = format!("{QUICK}[dead_letter]\ntopic = \"{letters}\"\n");
    let sidecar = SidecarBuilder::new(broker.url()).config(&config).start().await;
    let (mut worker, _) = SinkWorker::open(&sidecar, open(&name, &topic)).await;
    sidecar.attached(&name).await;
    // The dead-letter topic must exist for its consumer to subscribe.
    publish(broker.url(), &letters, &[]).await;

    let found = consume(broker.url(), &letters, 1, async {
        publish_keyed(broker.url(), &topic, &[(Some("k"), "poison")]).await;
        let records = worker.take(1).await;
        worker.fail(&records[0], Outcome::Reject).await;
    })
    .await;

    assert_eq!(found, [(Some("k".to_owned()), "poison".to_owned())]);
    sidecar.settled(&name).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_window_of_zero_pauses_a_worker() {
    let broker = Broker::start().await;
    let sidecar = quick(&broker).await;
    let (topic, name) = (unique("/default/in"), unique("sink"));
    let (mut worker, _) = SinkWorker::open(&sidecar, open(&name, &topic)).await;
    sidecar.attached(&name).await;
    worker.send(Frame::Flow(SinkFlow { window_records: Some(0), window_bytes: None })).await;
    eventually("the pause at the sidecar", || async {
        (sidecar.sink(&name).await["workers_paused"] == 1).then_some(())
    })
    .await;

    publish(broker.url(), &topic, &payloads(5)).await;
    eventually("the records at the sidecar", || async {
        (sidecar.sink(&name).await["unresolved"]["records"] == 5).then_some(())
    })
    .await;
    assert_eq!(sidecar.sink(&name).await["at_workers"], 0);

    worker.send(Frame::Flow(SinkFlow { window_records: Some(100), window_bytes: None })).await;
    assert_eq!(worker.write(5).await, payloads(5));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_file_wins_over_the_proposal_and_hands_over_settings() {
    let broker = Broker::start().await;
    let (topic, name) = (unique("/default/in"), unique("sink"));
    let config = format!(
        "[danube]\ncreate_topics = true\n[connectors.{name}]\n\
         subscriptions = [{{ topic = \"{topic}\", subscription = \"of-the-file\" }}]\n\
         [connectors.{name}.settings]\ntable = \"orders\"\n"
    );
    let sidecar = SidecarBuilder::new(broker.url()).config(&config).unix_socket().start().await;

    let (_, opened) = SinkWorker::open(&sidecar, open(&name, "/default/other")).await;

    assert_eq!(opened.subscriptions.len(), 1);
    assert_eq!(opened.subscriptions[0].subscription, "of-the-file");
    assert_eq!(opened.settings_json, "{\"table\":\"orders\"}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_can_answer_is_asked_for_the_external_systems_health() {
    let broker = Broker::start().await;
    let sidecar = quick(&broker).await;
    let (topic, name) = (unique("/default/in"), unique("sink"));
    let health = |probe_id, status: health::Status, message: &str| {
        Frame::Health(Health {
            probe_id,
            status: status.into(),
            message: message.to_owned(),
            checked: false,
        })
    };
    let asks = vec![Capability::Probe.into()];
    let asked = SinkOpen { capabilities: asks, ..open(&name, &topic) };
    let (mut worker, opened) = SinkWorker::open(&sidecar, asked.clone()).await;
    let gauge = |value| format!("danube_connector_health{{connector=\"{name}\"}} {value}\n");
    assert!(!sidecar.page("/metrics").await.1.contains("danube_connector_health{"));

    let probe_id = worker.probed().await;
    worker.send(health(probe_id, health::Status::Unhealthy, "the table is gone")).await;
    sidecar.shows("/metrics", &gauge(0)).await;
    let told = &sidecar.sink(&name).await["unwell"][0];
    assert_eq!(
        (&told["worker"], &told["message"]),
        (&json!(opened.worker_id), &json!("the table is gone"))
    );

    // Another that is well does not outweigh it, until it is gone.
    let (mut other, _) = SinkWorker::open(&sidecar, asked).await;
    let probe_id = other.probed().await;
    other.send(health(probe_id, health::Status::Healthy, "")).await;
    other.send(Frame::Flow(SinkFlow { window_records: Some(0), window_bytes: None })).await;
    eventually("what it said at the sidecar", || async {
        (sidecar.sink(&name).await["workers_paused"] == 1).then_some(())
    })
    .await;
    assert!(sidecar.page("/metrics").await.1.contains(&gauge(0)));
    drop(worker);
    sidecar.shows("/metrics", &gauge(1)).await;
    assert_eq!(sidecar.sink(&name).await["unwell"], json!([]));
}
