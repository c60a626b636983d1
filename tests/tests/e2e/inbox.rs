//! The inbox: written locally, acked to the broker at once, delivered when the
//! connector can.

use std::{collections::HashSet, path::Path, time::Duration};

use danube_sidecar_tests::{
    Broker, Sidecar, SidecarBuilder, SinkWorker, eventually, needs_embedded_broker, open, publish,
    unique,
};

/// A sink with an inbox and a subscription in the file.
struct Scene {
    broker: Broker,
    data: tempfile::TempDir,
    topic: String,
    name: String,
    config: String,
}

impl Scene {
    async fn new(broker: Broker, more: &str) -> Self {
        let (topic, name) = (unique("/default/in"), unique("sink"));
        let config = format!(
            "[danube]\ncreate_topics = true\n{more}\n[connectors.{name}]\n\
             subscriptions = [{{ topic = \"{topic}\", subscription = \"sub\" }}]\n"
        );
        let data = tempfile::tempdir().unwrap();
        Self { broker, data, topic, name, config }
    }

    async fn sidecar(&self) -> Sidecar {
        let data: &Path = self.data.path();
        let builder = SidecarBuilder::new(self.broker.url()).config(&self.config);
        let sidecar = builder.data_dir(data).start().await;
        sidecar.attached(&self.name).await;
        sidecar
    }

    async fn publish(&self, payloads: &[String]) {
        publish(self.broker.url(), &self.topic, payloads).await;
    }

    async fn worker(&self, sidecar: &Sidecar) -> SinkWorker {
        SinkWorker::open(sidecar, open(&self.name, &self.topic)).await.0
    }

    /// Waits until so many records are in the inbox.
    async fn logged(&self, sidecar: &Sidecar, records: u64) {
        eventually("the records in the inbox", || async {
            let inbox = sidecar.sink(&self.name).await["inbox"]["records"].as_u64();
            (inbox == Some(records)).then_some(())
        })
        .await;
    }
}

fn payloads(range: std::ops::Range<usize>) -> Vec<String> {
    range.map(|n| format!("record {n}")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connector_that_is_down_for_120_ack_timeouts_loses_nothing() {
    if needs_embedded_broker("a_connector_that_is_down_for_120_ack_timeouts_loses_nothing") {
        return;
    }
    let broker = Broker::embedded(&["--ack-timeout", "100ms"]).await;
    let scene = Scene::new(broker, "ack_timeout = \"100ms\"").await;
    let sidecar = scene.sidecar().await;

    // 1 000 records a second, 120 ack timeouts of 100 ms long.
    let mut pace = tokio::time::interval(Duration::from_millis(100));
    for tenth in 0..120 {
        pace.tick().await;
        scene.publish(&payloads(tenth * 100..tenth * 100 + 100)).await;
    }
    scene.logged(&sidecar, 12_000).await;
    let mut worker = scene.worker(&sidecar).await;

    assert_eq!(worker.write(12_000).await, payloads(0..12_000));
    scene.logged(&sidecar, 0).await;
    assert_eq!(sidecar.sink(&scene.name).await["gaps"], 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_in_the_inbox_outlives_the_broker_and_a_kill_of_the_sidecar() {
    if needs_embedded_broker("what_is_in_the_inbox_outlives_the_broker") {
        return;
    }
    let mut scene = Scene::new(Broker::embedded(&[]).await, "").await;
    let mut sidecar = scene.sidecar().await;
    scene.publish(&payloads(0..500)).await;
    scene.logged(&sidecar, 500).await;

    scene.broker.kill().await;
    sidecar.process().kill().await;
    let builder = SidecarBuilder::new(scene.broker.url()).config(&scene.config);
    let sidecar = builder.data_dir(scene.data.path()).start().await;
    let mut worker = scene.worker(&sidecar).await;

    assert_eq!(worker.write(500).await, payloads(0..500));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_sidecar_offers_only_what_was_unresolved_again() {
    let scene = Scene::new(Broker::start().await, "").await;
    let mut sidecar = scene.sidecar().await;
    scene.publish(&payloads(0..200)).await;
    scene.logged(&sidecar, 200).await;
    let mut worker = scene.worker(&sidecar).await;
    let written: HashSet<String> = worker.write(120).await.into_iter().collect();
    scene.logged(&sidecar, 200 - written.len() as u64).await;

    sidecar.process().kill().await;
    let sidecar = scene.sidecar().await;
    let mut worker = scene.worker(&sidecar).await;
    let rest = worker.write(200 - written.len()).await;

    assert!(rest.iter().all(|payload| !written.contains(payload)));
    scene.publish(&payloads(200..201)).await;
    assert_eq!(worker.write(1).await, ["record 200"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_inbox_lets_go_of_the_broker_and_takes_up_again_by_itself() {
    let scene = Scene::new(Broker::start().await, "[inbox]\nmax_bytes = \"64KiB\"").await;
    let sidecar = scene.sidecar().await;
    let large = |range: std::ops::Range<usize>| -> Vec<String> {
        range.map(|n| format!("{n:04}{}", "x".repeat(2000))).collect()
    };
    scene.publish(&large(0..100)).await;
    eventually("the full inbox", || async {
        let sink = sidecar.sink(&scene.name).await;
        (sink["detached"] == true && sink["trouble"].as_str()?.contains("max_bytes")).then_some(())
    })
    .await;

    let mut worker = scene.worker(&sidecar).await;

    assert_eq!(worker.write(100).await, large(0..100));
    scene.logged(&sidecar, 0).await;
}
