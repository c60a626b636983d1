//! Trouble that lasts longer than Danube's patience with an un-acked message: the
//! broker redelivers five times after its ack timeout, and then stops for good.

use std::time::{Duration, Instant};

use danube_connector_proto::v1::{Outcome, sink_service_run_response::Frame as In};
use danube_sidecar_tests::{
    Broker, Sidecar, SidecarBuilder, SinkWorker, eventually, needs_embedded_broker, open, publish,
    publish_keyed, unique,
};

/// The broker's, and so the sidecar's.
const ACK_TIMEOUT: Duration = Duration::from_millis(500);

/// More than the broker's whole budget: its ack timeout, six times, and its pauses.
const OUTAGE: Duration = Duration::from_secs(10);

const CONFIG: &str = "[danube]\ncreate_topics = true\nack_timeout = \"500ms\"\n[retry]\n\
                      retry_backoff_ms = 50\nmax_backoff_ms = 30000\n";

async fn broker() -> Broker {
    Broker::embedded(&["--ack-timeout", "500ms"]).await
}

fn payloads(count: usize) -> Vec<String> {
    (0..count).map(|n| format!("record {n}")).collect()
}

/// Answers RETRY to everything until the outage is over.
async fn refuse(worker: &mut SinkWorker, outage: Duration) {
    let _ = tokio::time::timeout(outage, async {
        loop {
            match worker.next().await {
                Ok(Some(In::Batch(batch))) => {
                    for record in &batch.records {
                        worker.fail(record, Outcome::Retry).await;
                    }
                }
                other => panic!("expected a batch, got {other:?}"),
            }
        }
    })
    .await;
}

/// Writes until there are so many distinct records; tells how long it took.
async fn recover(worker: &mut SinkWorker, count: usize) -> (Vec<String>, Duration) {
    let began = Instant::now();
    let written = worker.write(count).await;
    (written, began.elapsed())
}

/// The subscription is alive: what is published now still comes.
async fn is_alive(broker: &Broker, topic: &str, worker: &mut SinkWorker) {
    publish(broker.url(), topic, &["after".to_owned()]).await;
    assert_eq!(worker.write(1).await, ["after"]);
}

async fn no_dead_letters(sidecar: &Sidecar) {
    let (_, metrics) = sidecar.page("/metrics").await;
    let letters: Vec<_> = metrics.lines().filter(|line| line.contains("dead_lettered")).collect();
    assert!(letters.iter().all(|line| line.ends_with(" 0")), "{letters:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_external_system_that_is_down_beyond_the_brokers_budget_costs_nothing() {
    if needs_embedded_broker("an_external_system_that_is_down_beyond_the_brokers_budget") {
        return;
    }
    let broker = broker().await;
    let sidecar = SidecarBuilder::new(broker.url()).config(CONFIG).start().await;
    let (topic, name) = (unique("/default/in"), unique("sink"));
    let (mut worker, _) = SinkWorker::open(&sidecar, open(&name, &topic)).await;
    sidecar.attached(&name).await;
    publish(broker.url(), &topic, &payloads(30)).await;

    refuse(&mut worker, OUTAGE).await;
    let (mut written, took) = recover(&mut worker, 30).await;

    written.sort();
    let mut expected = payloads(30);
    expected.sort();
    assert_eq!(written, expected);
    assert!(took < Duration::from_secs(5), "the flow resumed only after {took:?}");
    no_dead_letters(&sidecar).await;
    is_alive(&broker, &topic, &mut worker).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connector_that_is_absent_for_120_ack_timeouts_finds_everything() {
    if needs_embedded_broker("a_connector_that_is_absent_for_120_ack_timeouts") {
        return;
    }
    let broker = Broker::embedded(&["--ack-timeout", "100ms"]).await;
    let (topic, name) = (unique("/default/in"), unique("sink"));
    let config = format!(
        "[danube]\ncreate_topics = true\nack_timeout = \"100ms\"\n[connectors.{name}]\n\
         subscriptions = [{{ topic = \"{topic}\", subscription = \"sub\" }}]\n"
    );
    let mut sidecar = SidecarBuilder::new(broker.url()).config(&config).start().await;
    sidecar.process().line("\"subscribed\"").await;
    publish(broker.url(), &topic, &payloads(30)).await;

    // Absence is what is tested: there is nothing else to wait for.
    tokio::time::sleep(ACK_TIMEOUT / 5 * 120).await;
    let (mut worker, _) = SinkWorker::open(&sidecar, open(&name, &topic)).await;
    let (written, took) = recover(&mut worker, 30).await;

    assert_eq!(written, payloads(30));
    assert!(took < Duration::from_secs(5), "the flow resumed only after {took:?}");
    no_dead_letters(&sidecar).await;
    is_alive(&broker, &topic, &mut worker).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_held_for_20_ack_timeouts_lets_its_neighbours_flow() {
    if needs_embedded_broker("a_record_held_for_20_ack_timeouts") {
        return;
    }
    let broker = broker().await;
    let sidecar = SidecarBuilder::new(broker.url()).config(CONFIG).start().await;
    let (topic, name) = (unique("/default/in"), unique("sink"));
    let (mut worker, _) = SinkWorker::open(&sidecar, open(&name, &topic)).await;
    sidecar.attached(&name).await;
    publish_keyed(broker.url(), &topic, &[(Some("slow"), "slow")]).await;
    let slow = worker.take(1).await;

    let began = Instant::now();
    let mut neighbours = 0;
    while began.elapsed() < ACK_TIMEOUT * 20 {
        publish(broker.url(), &topic, &[format!("neighbour {neighbours}")]).await;
        assert_eq!(worker.write(1).await, [format!("neighbour {neighbours}")]);
        neighbours += 1;
    }

    assert!(neighbours > 20, "{neighbours} neighbours in {:?}", began.elapsed());
    worker.ack(&slow).await;
    sidecar.settled(&name).await;
    no_dead_letters(&sidecar).await;
    is_alive(&broker, &topic, &mut worker).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_restarts_in_a_row_lose_nothing() {
    if needs_embedded_broker("ten_restarts_in_a_row_lose_nothing") {
        return;
    }
    let broker = broker().await;
    let data = tempfile::tempdir().unwrap();
    let (topic, name) = (unique("/default/in"), unique("sink"));
    let config = format!(
        "{CONFIG}[inbox]\nenabled = false\n[connectors.{name}]\n\
         subscriptions = [{{ topic = \"{topic}\", subscription = \"sub\" }}]\n"
    );
    let start = || SidecarBuilder::new(broker.url()).config(&config).data_dir(data.path()).start();
    let mut sidecar = start().await;
    sidecar.attached(&name).await;
    publish(broker.url(), &topic, &payloads(20)).await;
    for _ in 0..10 {
        eventually("records at the sidecar", || async {
            (sidecar.sink(&name).await["unresolved"]["records"].as_u64() > Some(0)).then_some(())
        })
        .await;
        sidecar.process().kill().await;
        sidecar = start().await;
        sidecar.attached(&name).await;
    }

    let (mut worker, _) = SinkWorker::open(&sidecar, open(&name, &topic)).await;
    let (written, _) = recover(&mut worker, 20).await;

    assert_eq!(written, payloads(20));
    no_dead_letters(&sidecar).await;
    is_alive(&broker, &topic, &mut worker).await;
}
