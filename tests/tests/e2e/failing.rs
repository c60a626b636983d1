//! Records that fail or are suspended, and what an operator does about them.

use std::process::Stdio;

use danube_connector_proto::v1::{
    Capability, Health, Outcome, SinkOpen, SinkRecord, health::Status,
    sink_service_run_request::Frame, sink_service_run_response::Frame as In,
};
use danube_sidecar_tests::{
    Broker, PATIENCE, Sidecar, SidecarBuilder, SinkWorker, acked, binary, eventually, open,
    publish, publish_keyed, receive, unique,
};
use serde_json::{Value, json};
use tokio::{process::Command, time::timeout};

const SUSPEND: &str = "[danube]\ncreate_topics = true\n[retry]\nmax_retries = 0\n\
                       on_exhausted = \"suspend\"\n";

/// A sink whose first records of the keys `a` and `b` are suspended, with one more
/// record behind each.
struct Scene {
    broker: Broker,
    sidecar: Sidecar,
    topic: String,
    name: String,
    letters: String,
    worker: SinkWorker,
}

/// What a command printed, and its exit code.
#[derive(Debug)]
struct Ran {
    code: i32,
    printed: String,
}

impl Scene {
    async fn new() -> Self {
        let broker = Broker::start().await;
        let (topic, name, letters) =
            (unique("/default/in"), unique("sink"), unique("/default/letters"));
        let config = format!("{SUSPEND}[dead_letter]\ntopic = \"{letters}\"\n");
        let sidecar = SidecarBuilder::new(broker.url()).config(&config).start().await;
        publish(broker.url(), &letters, &[]).await;
        let (mut worker, _) = SinkWorker::open(&sidecar, open(&name, &topic)).await;
        sidecar.attached(&name).await;
        let records = [(Some("a"), "a0"), (Some("b"), "b0"), (None, "good")];
        publish_keyed(broker.url(), &topic, &records).await;
        let taken = worker.take(3).await;
        let good = taken.iter().find(|record| &record.payload[..] == b"good").expect("it came");
        worker.ack(std::slice::from_ref(good)).await;
        for record in taken.iter().filter(|record| record.key.is_some()) {
            worker.fail(record, Outcome::Retry).await;
        }
        let scene = Self { broker, sidecar, topic, name, letters, worker };
        scene.suspended(2).await;
        let behind = [(Some("a"), "a1"), (Some("b"), "b1")];
        publish_keyed(scene.broker.url(), &scene.topic, &behind).await;
        eventually("what waits behind", || async {
            (scene.sidecar.sink(&scene.name).await["unresolved"]["records"] == 4).then_some(())
        })
        .await;
        scene
    }

    async fn suspended(&self, count: u64) {
        eventually("the suspended lanes", || async {
            (self.sidecar.sink(&self.name).await["suspended"] == count).then_some(())
        })
        .await;
    }

    /// `danube-sidecar failing …` at this sidecar.
    async fn failing(&self, arguments: &[&str]) -> Ran {
        self.command(&[&["failing"], arguments].concat()).await
    }

    async fn command(&self, arguments: &[&str]) -> Ran {
        let mut command = Command::new(binary("danube-sidecar"));
        command.args(arguments).args(["--address", self.sidecar.http_address()]);
        command.env_remove("DANUBE_SERVICE_URL").stdin(Stdio::null()).kill_on_drop(true);
        let ended = timeout(PATIENCE, command.output()).await.expect("it ends").unwrap();
        let printed = [ended.stdout, ended.stderr];
        let printed = printed.map(|text| String::from_utf8_lossy(&text).into_owned()).concat();
        Ran { code: ended.status.code().expect("no signal"), printed }
    }

    async fn next(&mut self) -> SinkRecord {
        self.worker.take(1).await.remove(0)
    }

    async fn write_next(&mut self) -> (String, u32) {
        let record = self.next().await;
        self.worker.send(Frame::Results(acked(std::slice::from_ref(&record)))).await;
        (String::from_utf8_lossy(&record.payload).into_owned(), record.attempt)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn suspended_lanes_are_listed_and_go_on_when_an_operator_resumes_skips_or_dead_letters() {
    let mut scene = Scene::new().await;
    let listed = scene.failing(&["list", "-o", "json"]).await;
    assert_eq!(listed.code, 0, "{}", listed.printed);
    let found: Value = serde_json::from_str(&listed.printed).unwrap();
    let first = &found["records"][0];
    let known = ["state", "attempt", "code", "reason", "behind"].map(|name| first[name].clone());
    let expected =
        [json!("suspended"), json!(1), json!("TEST"), json!("as the test wants it"), json!(1)];
    assert_eq!(known, expected, "{found}");
    assert_eq!(scene.sidecar.sink(&scene.name).await["failing"], found["records"]);
    let table = scene.failing(&["list", "--suspended"]).await;
    assert!(table.printed.contains("as the test wants it"), "{}", table.printed);

    let resumed = scene.failing(&["resume", "--key", "a"]).await;
    assert_eq!(resumed.code, 0, "{}", resumed.printed);
    assert_eq!(scene.write_next().await, ("a0".to_owned(), 2));
    assert_eq!(scene.write_next().await, ("a1".to_owned(), 1));

    let offset = found["records"].as_array().unwrap().iter().find(|one| one["key"] == "b");
    let offset = offset.expect("it is listed")["offset"].to_string();
    let which = ["--partition", &scene.topic.clone(), "--offset", &offset];
    let (url, letters) = (scene.broker.url().to_owned(), scene.letters.clone());
    let lettered = receive(&url, &letters, 1, async {
        let done = scene.failing(&[&["dead-letter"], &which[..]].concat()).await;
        assert_eq!(done.code, 0, "{}", done.printed);
    })
    .await
    .remove(0);
    assert_eq!(lettered.payload, "b0");
    assert_eq!(lettered.attributes["x-failure-class"], "EXHAUSTED");
    assert_eq!(lettered.attributes["x-failure-code"], "TEST");
    assert_eq!(scene.write_next().await, ("b1".to_owned(), 1));
    scene.sidecar.settled(&scene.name).await;
    let gone = scene.failing(&["list"]).await;
    assert!(gone.printed.contains("no record of"), "{}", gone.printed);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_decision_names_its_records_and_says_where_none_is_meant() {
    let mut scene = Scene::new().await;
    let unnamed = scene.failing(&["skip"]).await;
    assert_eq!(unnamed.code, 2, "{}", unnamed.printed);
    let none = scene.failing(&["skip", "--key", "zzz"]).await;
    assert_eq!(none.code, 2, "{}", none.printed);
    let other = scene.failing(&["skip", "--all", "--connector", "zzz"]).await;
    assert_eq!(other.code, 2, "{}", other.printed);
    assert!(other.printed.contains(&scene.name), "{}", other.printed);
    let dry = scene.failing(&["skip", "--all", "--dry-run"]).await;
    assert!(dry.printed.contains("2 records of"), "{}", dry.printed);
    scene.suspended(2).await;

    let resumed = scene.failing(&["resume", "--key", "a"]).await;
    assert_eq!(resumed.code, 0, "{}", resumed.printed);
    let held = scene.next().await;
    let refused = scene.failing(&["skip", "--key", "a"]).await;
    assert_eq!(refused.code, 3, "{}", refused.printed);
    assert!(refused.printed.contains("at a worker now"), "{}", refused.printed);
    scene.worker.send(Frame::Results(acked(&[held]))).await;
    assert_eq!(scene.write_next().await, ("a1".to_owned(), 1));

    let skipped = scene.failing(&["skip", "--all"]).await;
    assert_eq!(skipped.code, 0, "{}", skipped.printed);
    assert_eq!(scene.write_next().await, ("b1".to_owned(), 1));
    scene.sidecar.settled(&scene.name).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_sink_is_offered_nothing_until_it_is_resumed() {
    let mut scene = Scene::new().await;
    let paused = scene.command(&["pause"]).await;
    assert_eq!(paused.code, 0, "{}", paused.printed);
    let resumed = scene.failing(&["resume", "--all"]).await;
    assert_eq!(resumed.code, 0, "{}", resumed.printed);
    scene.suspended(0).await;
    let status = scene.command(&["status"]).await;
    assert!(status.printed.contains("an operator paused it at"), "{}", status.printed);
    assert_eq!(scene.sidecar.sink(&scene.name).await["at_workers"], 0);

    let again = scene.command(&["resume", "-o", "json"]).await;
    let again: Value = serde_json::from_str(&again.printed).unwrap();
    assert_eq!((&again["paused"], &again["changed"]), (&json!(false), &json!(true)));
    let mut written = scene.worker.write(4).await;
    written.sort();
    assert_eq!(written, ["a0", "a1", "b0", "b1"]);
    scene.sidecar.settled(&scene.name).await;
}

/// A worker that is asked for its external system's health, and one record of its topic
/// that it will never write.
struct Quiet {
    broker: Broker,
    sidecar: Sidecar,
    name: String,
    letters: String,
    worker: SinkWorker,
}

impl Quiet {
    async fn new() -> Self {
        let broker = Broker::start().await;
        let (topic, name, letters) =
            (unique("/default/in"), unique("sink"), unique("/default/letters"));
        let config = format!(
            "[danube]\ncreate_topics = true\n[retry]\nmax_retries = 2\nretry_backoff_ms = 10\n\
             [dead_letter]\ntopic = \"{letters}\"\n"
        );
        let sidecar = SidecarBuilder::new(broker.url()).config(&config).start().await;
        publish(broker.url(), &letters, &[]).await;
        let capabilities = vec![Capability::Probe.into()];
        let asked = SinkOpen { capabilities, ..open(&name, &topic) };
        let (worker, _) = SinkWorker::open(&sidecar, asked).await;
        sidecar.attached(&name).await;
        publish(broker.url(), &topic, &["poison".to_owned()]).await;
        Self { broker, sidecar, name, letters, worker }
    }

    /// Fails the record so many times; answers probes in between.
    async fn fail(&mut self, times: u32, checked: bool) {
        let mut failed = 0;
        while failed < times {
            match self.worker.next().await {
                Ok(Some(In::Batch(batch))) => {
                    self.worker.fail(&batch.records[0], Outcome::Retry).await;
                    failed += 1;
                }
                Ok(Some(In::Probe(probe))) => {
                    let (probe_id, status) = (probe.probe_id, Status::Healthy.into());
                    let health = Health { probe_id, status, checked, ..Health::default() };
                    self.worker.send(Frame::Health(health)).await;
                }
                other => panic!("a batch or a probe, not {other:?}"),
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_poison_record_on_a_quiet_topic_is_given_up_while_the_external_system_is_well() {
    let mut quiet = Quiet::new().await;
    let (url, letters) = (quiet.broker.url().to_owned(), quiet.letters.clone());
    let lettered = receive(&url, &letters, 1, quiet.fail(3, true)).await.remove(0);
    assert_eq!(lettered.attributes["x-failure-class"], "EXHAUSTED");
    assert_eq!(lettered.attributes["x-delivery-attempt"], "3");
    quiet.sidecar.settled(&quiet.name).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_poison_record_on_a_quiet_topic_is_seen_where_nobody_can_say_whose_fault_it_is() {
    let mut quiet = Quiet::new().await;
    quiet.fail(6, false).await;
    let sink = eventually("its sixth attempt", || async {
        let sink = quiet.sidecar.sink(&quiet.name).await;
        (sink["failing"][0]["attempt"] == 6).then_some(sink)
    })
    .await;
    assert_eq!(
        (&sink["failing"][0]["code"], &sink["failing"][0]["counted"]),
        (&json!("TEST"), &json!(0))
    );
    let states: Vec<_> =
        sink["waiting"].as_array().unwrap().iter().map(|waiting| &waiting["state"]).collect();
    assert_eq!(states, ["failing"], "{sink}");
    let gauge =
        format!("danube_connector_waiting{{connector=\"{}\",state=\"failing\"}} 1", quiet.name);
    quiet.sidecar.shows("/metrics", &gauge).await;
}
