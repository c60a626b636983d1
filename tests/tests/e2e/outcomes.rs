//! What becomes of records that a connector does not write.

use std::{
    collections::HashSet,
    time::{Duration, Instant},
};

use danube_connector_proto::v1::{Fault, Outcome, SinkRecord, sink_service_run_request::Frame};
use danube_sidecar_tests::{
    Broker, PATIENCE, Received, Sidecar, SidecarBuilder, SinkWorker, open, publish, publish_keyed,
    receive, unique,
};
use tokio::time::timeout;
use tonic::Code;

/// A sink whose retries are short, and its dead-letter topic.
struct Scene {
    broker: Broker,
    sidecar: Sidecar,
    topic: String,
    name: String,
    letters: String,
}

impl Scene {
    async fn new(more: &str) -> Self {
        let broker = Broker::start().await;
        let letters = unique("/default/letters");
        let config = format!(
            "[danube]\ncreate_topics = true\n[dead_letter]\ntopic = \"{letters}\"\n[retry]\n\
             max_retries = 2\nretry_backoff_ms = 10\n{more}"
        );
        let sidecar = SidecarBuilder::new(broker.url()).config(&config).start().await;
        let (topic, name) = (unique("/default/in"), unique("sink"));
        // The dead-letter topic must exist for its consumer to subscribe.
        publish(broker.url(), &letters, &[]).await;
        Self { broker, sidecar, topic, name, letters }
    }

    async fn worker(&self) -> SinkWorker {
        let open = open(&self.name, &self.topic);
        let (worker, _) = SinkWorker::open(&self.sidecar, open).await;
        self.sidecar.attached(&self.name).await;
        worker
    }

    async fn publish(&self, records: &[(Option<&str>, &str)]) {
        publish_keyed(self.broker.url(), &self.topic, records).await;
    }

    /// The dead letter that comes while `act` runs.
    async fn letter(&self, act: impl Future<Output = ()>) -> Received {
        let act = async { timeout(PATIENCE, act).await.expect("it takes no longer") };
        receive(self.broker.url(), &self.letters, 1, act).await.remove(0)
    }

    /// How many records came to this end.
    async fn resolved(&self, outcome: &str) -> u64 {
        let (_, metrics) = self.sidecar.page("/metrics").await;
        let line = metrics.lines().find(|line| {
            line.starts_with("danube_connector_messages_processed_total")
                && line.contains(&format!("connector=\"{}\"", self.name))
                && line.contains(&format!("outcome=\"{outcome}\""))
        });
        line.and_then(|line| line.rsplit(' ').next()?.parse().ok()).unwrap_or(0)
    }
}

fn text(record: &SinkRecord) -> &str {
    std::str::from_utf8(&record.payload).unwrap()
}

/// Fails `bad` with RETRY and writes everything else, until `bad` has come to this
/// end. Others keep coming and succeed between its attempts: it is the record's fault.
async fn exhaust(scene: &Scene, worker: &mut SinkWorker, end: &str) {
    scene.publish(&[(Some("bad"), "bad")]).await;
    while scene.resolved(end).await == 0 {
        scene.publish(&[(None, "good")]).await;
        let mut written = 0;
        while written == 0 {
            for record in worker.batch().await {
                if text(&record) == "bad" {
                    worker.fail(&record, Outcome::Retry).await;
                } else {
                    worker.ack(&[record]).await;
                    written += 1;
                }
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_exhausted_record_becomes_a_dead_letter_with_its_whole_story() {
    let scene = Scene::new("").await;
    let mut worker = scene.worker().await;

    let letter = scene.letter(exhaust(&scene, &mut worker, "dead_lettered")).await;

    assert_eq!((letter.key.as_deref(), letter.payload.as_str()), (Some("bad"), "bad"));
    let attribute = |name: &str| letter.attributes.get(name).map_or("", String::as_str);
    assert_eq!(attribute("test"), "yes");
    assert_eq!(attribute("x-original-topic"), scene.topic);
    assert_eq!(attribute("x-original-topic-offset"), "0");
    assert_eq!(attribute("x-failure-class"), "EXHAUSTED");
    assert_eq!(attribute("x-failure-code"), "TEST");
    assert_eq!(attribute("x-failure-reason"), "as the test wants it");
    // Attempts without a success between them are not counted, but they are made.
    assert!(attribute("x-delivery-attempt").parse::<u32>().is_ok_and(|attempt| attempt >= 3));
    assert_eq!(attribute("x-connector"), scene.name);
    assert_eq!(attribute("x-dedup-id").len(), 32);
    assert!(attribute("x-first-failure-time").parse::<u64>().is_ok());
    assert!(!attribute("x-original-subscription").is_empty());
    scene.sidecar.settled(&scene.name).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_filtered_record_is_resolved_and_counted_apart() {
    let scene = Scene::new("").await;
    let mut worker = scene.worker().await;
    scene.publish(&[(None, "dull"), (None, "good")]).await;

    let records = worker.take(2).await;
    worker.fail(&records[0], Outcome::Filtered).await;
    worker.ack(&records[1..]).await;
    scene.sidecar.settled(&scene.name).await;

    assert_eq!((scene.resolved("filtered").await, scene.resolved("acked").await), (1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn exhausted_records_are_skipped_where_the_file_says_so() {
    let scene = Scene::new("on_exhausted = \"skip\"\n").await;
    let mut worker = scene.worker().await;

    exhaust(&scene, &mut worker, "skipped").await;
    scene.sidecar.settled(&scene.name).await;

    assert_eq!((scene.resolved("skipped").await, scene.resolved("dead_lettered").await), (1, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fault_releases_everything_and_a_new_session_clears_it() {
    let scene = Scene::new("").await;
    let mut worker = scene.worker().await;
    scene.publish(&[(None, "a"), (None, "b")]).await;
    worker.take(2).await;

    let fault = Fault { code: "DISK".to_owned(), message: "disk full".to_owned() };
    worker.send(Frame::Fault(fault)).await;
    assert!(matches!(worker.next().await, Ok(None)), "a fault is the connector's own good end");
    assert_eq!(scene.sidecar.sink(&scene.name).await["failed"], "disk full");

    let mut next = scene.worker().await;
    let again = next.take(2).await;
    assert!(again.iter().all(|record| record.attempt == 2));
    next.ack(&again).await;
    scene.sidecar.settled(&scene.name).await;
    assert!(scene.sidecar.sink(&scene.name).await["failed"].is_null());
    assert_eq!(scene.resolved("dead_lettered").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_without_a_result_in_time_is_ended_and_its_records_come_again() {
    let scene = Scene::new("[processing]\nresult_timeout = \"500ms\"\n").await;
    let mut worker = scene.worker().await;
    scene.publish(&[(None, "a")]).await;
    worker.take(1).await;

    let status = worker.refusal().await;
    assert_eq!(status.code(), Code::DeadlineExceeded, "{status:?}");
    drop(worker);

    let mut next = scene.worker().await;
    let again = next.take(1).await;
    assert_eq!(again[0].attempt, 2);
    next.ack(&again).await;
    scene.sidecar.settled(&scene.name).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_kills_its_workers_becomes_a_crash_letter_and_its_neighbours_do_not() {
    let scene = Scene::new("").await;
    let mut worker = scene.worker().await;
    let mut neighbours: Vec<String> = (0..40).map(|n| format!("good {n}")).collect();
    let mut written: HashSet<String> = HashSet::new();

    let letter = scene
        .letter(async {
            publish(scene.broker.url(), &scene.topic, &neighbours[..20]).await;
            scene.publish(&[(Some("k"), "killer")]).await;
            publish(scene.broker.url(), &scene.topic, &neighbours[20..]).await;
            loop {
                if written.len() == neighbours.len() {
                    if scene.sidecar.sink(&scene.name).await["unresolved"]["records"] == 0 {
                        break;
                    }
                    // Only what succeeds meanwhile shows that it is the killer's fault, and
                    // that takes the more of them, the slower the machine is.
                    let another = format!("good {}", neighbours.len());
                    scene.publish(&[(None, &another)]).await;
                    neighbours.push(another);
                }
                let next = timeout(std::time::Duration::from_millis(200), worker.batch());
                let Ok(records) = next.await else { continue };
                if let Some(killer) = records.iter().position(|record| text(record) == "killer") {
                    worker.ack(&records[..killer]).await;
                    written.extend(records[..killer].iter().map(|r| text(r).to_owned()));
                    drop(worker);
                    worker = scene.worker().await;
                    continue;
                }
                worker.ack(&records).await;
                written.extend(records.iter().map(|r| text(r).to_owned()));
            }
        })
        .await;

    assert_eq!(letter.payload, "killer");
    assert_eq!(letter.attributes["x-failure-class"], "CRASH");
    assert_eq!(written, neighbours.into_iter().collect());
    assert_eq!(scene.resolved("dead_lettered").await, 1);
}

/// An API that takes so many requests a second, and no more than a tenth of that at once.
struct Api {
    rate: f64,
    tokens: f64,
    at: Instant,
    refused: u32,
}

impl Api {
    fn takes(&mut self) -> bool {
        let passed = std::mem::replace(&mut self.at, Instant::now()).elapsed();
        self.tokens = (self.tokens + passed.as_secs_f64() * self.rate).min(self.rate / 10.0);
        let takes = self.tokens >= 1.0;
        self.tokens -= f64::from(u8::from(takes));
        self.refused += u32::from(!takes);
        takes
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sink_that_says_busy_writes_all_at_the_pace_of_its_api_and_is_refused_little() {
    let scene = Scene::new("").await;
    let mut worker = scene.worker().await;
    let records: Vec<_> = (0..500).map(|n| (format!("k{}", n % 50), n.to_string())).collect();
    let records: Vec<_> = records.iter().map(|(key, n)| (Some(&**key), &**n)).collect();
    scene.publish(&records).await;

    let mut api = Api { rate: 50.0, tokens: 5.0, at: Instant::now(), refused: 0 };
    let (mut written, pause) = (HashSet::new(), Duration::from_millis(100));
    while written.len() < records.len() {
        let batch = worker.batch().await;
        let taken = batch.iter().take_while(|_| api.takes()).count();
        written.extend(batch[..taken].iter().map(|record| text(record).to_owned()));
        worker.answer(&batch[..taken], &batch[taken..], Outcome::Busy, Some(pause)).await;
    }

    scene.sidecar.settled(&scene.name).await;
    assert!(api.refused * 20 <= 500 + api.refused, "{} requests refused", api.refused);
    assert_eq!((scene.resolved("acked").await, scene.resolved("dead_lettered").await), (500, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pause_of_a_busy_worker_is_shown_with_what_its_connector_said() {
    let scene = Scene::new("").await;
    let mut worker = scene.worker().await;
    scene.publish(&[(Some("a"), "first"), (Some("a"), "second")]).await;

    let records = worker.take(2).await;
    worker.answer(&[], &records, Outcome::Busy, Some(Duration::from_secs(3600))).await;

    scene.sidecar.shows("/metrics", "danube_connector_workers_busy").await;
    scene.sidecar.shows("/status", "\"pause_ms\":35").await;
    let busy = &scene.sidecar.sink(&scene.name).await["busy"][0];
    assert_eq!((&busy["code"], &busy["message"]), (&"TEST".into(), &"as the test wants it".into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn of_batches_that_fail_as_a_whole_only_the_bad_records_become_dead_letters() {
    let scene = Scene::new("").await;
    let mut worker = scene.worker().await;
    let bad = |record: &SinkRecord| text(record) == "bad";
    let records: Vec<_> = (0..80).map(|n| format!("k{n}")).collect();
    let is_bad = |n: usize| n % 4 == 3;
    let payload = |n| if is_bad(n) { "bad" } else { "good" };
    let records: Vec<_> =
        records.iter().enumerate().map(|(n, key)| (Some(&**key), payload(n))).collect();
    scene.publish(&records).await;

    let after = Some(Duration::from_millis(50));
    while scene.resolved("dead_lettered").await < 20 || scene.resolved("acked").await < 60 {
        // Others succeed, so it is not an outage; and there is always a batch to come.
        scene.publish(&[(None, "another")]).await;
        let batch = worker.batch().await;
        if batch.iter().any(bad) {
            worker.answer(&[], &batch, Outcome::Retry, after).await;
        } else {
            worker.ack(&batch).await;
        }
    }

    assert_eq!(scene.resolved("dead_lettered").await, 20);
}
