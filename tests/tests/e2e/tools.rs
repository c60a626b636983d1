//! The operator's commands, as their users see them.

use std::{
    fs,
    path::Path,
    process::{Output, Stdio},
    sync::Arc,
    time::Duration,
};

use danube_connector_proto::v1::{
    Outcome, SourceRecord, SourceRecords, source_service_run_request::Frame,
    source_service_run_response::Frame as In,
};
use danube_sidecar_core::record::{Identity, Record};
use danube_sidecar_store::{InboxSettings, LetterSettings, NewLetter, Store};
use danube_sidecar_tests::{
    Broker, PATIENCE, SidecarBuilder, SinkWorker, SourceSession, binary, eventually, open, publish,
    unique,
};
use serde_json::Value;
use tokio::{process::Command, time::timeout};

/// What a command printed, and its exit code.
struct Ran {
    code: i32,
    printed: String,
}

/// Runs `danube-sidecar` with these arguments on a data directory.
async fn sidecar(data_dir: &Path, arguments: &[&str]) -> Ran {
    let data_dir = data_dir.to_str().unwrap();
    run(&[arguments, &["--data-dir", data_dir]].concat()).await
}

async fn run(arguments: &[&str]) -> Ran {
    let mut command = Command::new(binary("danube-sidecar"));
    command.args(arguments).env_remove("DANUBE_SERVICE_URL").stdin(Stdio::null());
    let ended = timeout(PATIENCE, command.kill_on_drop(true).output()).await;
    let Output { status, stdout, stderr } = ended.expect("the command ends").unwrap();
    let printed = [stdout, stderr].map(|text| String::from_utf8_lossy(&text).into_owned());
    Ran { code: status.code().expect("no signal"), printed: printed.concat() }
}

fn letter(topic: &str, number: u64) -> NewLetter {
    let class = if number.is_multiple_of(2) { "REJECT" } else { "EXHAUSTED" };
    NewLetter {
        dedup_id: format!("dedup-{number}"),
        topic: topic.to_owned(),
        subscription: Some("orders".to_owned()),
        partition: topic.to_owned(),
        offset: number,
        key: Some(format!("key-{number}")),
        payload: format!("payload {number}").into(),
        attributes: vec![
            ("trace".to_owned(), "abc".to_owned()),
            ("x-failure-class".to_owned(), class.to_owned()),
            ("x-connector".to_owned(), "orders".to_owned()),
        ],
        schema: None,
        class: class.to_owned(),
        code: "BAD_ROW".to_owned(),
        reason: "column `price` is no number".to_owned(),
        attempt: 4,
        first_failure_ms: 1_790_000_000_000,
        dead_letter_topic: Some("/default/dlq-orders".to_owned()),
    }
}

fn record() -> Record {
    let identity = Identity {
        partition: "/default/orders".into(),
        offset: 1,
        producer: "shop".into(),
        request_id: 1,
        publish_time_ms: 1,
    };
    Record {
        identity,
        topic: "/default/orders".into(),
        subscription: "orders".into(),
        key: None,
        payload: "payload".into(),
        attributes: std::collections::HashMap::new(),
        schema: None,
    }
}

/// Keeps letters 1 to `count` of connector `orders`, as its sidecar would.
async fn keep(data_dir: &Path, topic: &str, count: u64) {
    let store = Store::open(data_dir).unwrap();
    let settings =
        LetterSettings { max_bytes: 1 << 30, max_age: Duration::from_secs(30 * 24 * 60 * 60) };
    let letters = store.letters("orders", settings);
    for number in 1..=count {
        letters.keep(letter(topic, number)).await.unwrap();
    }
}

fn positions(printed: &str) -> Value {
    serde_json::from_str::<Value>(printed).unwrap()["positions"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn positions_are_set_shown_and_reset_while_no_sidecar_runs() {
    let data = tempfile::tempdir().unwrap();
    let set = sidecar(data.path(), &["checkpoint", "set", "orders", "a=7", "b=9"]).await;
    assert_eq!(set.code, 0, "{}", set.printed);
    let moved = sidecar(data.path(), &["checkpoint", "set", "orders", "b=10"]).await;
    assert!(
        moved.printed.contains("a                 7\nb                 10\n"),
        "{}",
        moved.printed
    );

    let one = ["checkpoint", "reset", "orders", "--partition", "a", "-o", "json"];
    let left = positions(&sidecar(data.path(), &one).await.printed);
    assert_eq!(left, serde_json::json!([{ "source_partition": "b", "offset": 10 }]));
    sidecar(data.path(), &["checkpoint", "reset", "orders"]).await;
    let shown = sidecar(data.path(), &["checkpoint", "get", "orders"]).await;
    assert!(shown.printed.contains("has no positions: it starts afresh"), "{}", shown.printed);
}

#[tokio::test(flavor = "multi_thread")]
async fn positions_of_a_source_that_runs_are_refused_and_of_one_that_ended_are_used() {
    let broker = Broker::start().await;
    let data = tempfile::tempdir().unwrap();
    let running = SidecarBuilder::new(broker.url()).data_dir(data.path()).start().await;
    let (topic, name) = (unique("/default/out"), unique("source"));
    let (mut source, _) = SourceSession::open(&running, &name, &topic).await;
    source.records(1, &["one".to_owned()]).await;
    source.committed(1).await;

    let set = ["checkpoint", "set", name.as_str(), "file=40"];
    let refused = sidecar(data.path(), &set).await;
    assert_eq!(refused.code, 3, "{}", refused.printed);
    assert!(refused.printed.contains("has an open session (session-1)"), "{}", refused.printed);
    drop(source);
    let done = eventually("the session's end", || async {
        let ran = sidecar(data.path(), &set).await;
        (ran.code != 3).then_some(ran)
    })
    .await;

    assert_eq!(done.code, 0, "{}", done.printed);
    let (_, opened) = SourceSession::open(&running, &name, &topic).await;
    assert_eq!(opened.positions[0].offset, 40);
}

#[tokio::test(flavor = "multi_thread")]
async fn dead_letters_are_listed_filtered_shown_and_purged() {
    let data = tempfile::tempdir().unwrap();
    keep(data.path(), "/default/orders", 5).await;
    let of = ["--connector", "orders"];

    let listed =
        sidecar(data.path(), &[&["dlq", "list", "--class", "REJECT"][..], &of].concat()).await;
    assert_eq!(listed.code, 0, "{}", listed.printed);
    assert_eq!(listed.printed.matches("BAD_ROW").count(), 2, "{}", listed.printed);
    assert!(listed.printed.ends_with("orders: 5 dead letters kept, 0 given up by size or age\n"));
    let shown = sidecar(data.path(), &[&["dlq", "show", "3"][..], &of].concat()).await;
    for part in ["dedup-3", "key-3", "trace = abc", "payload\n  payload 3\n", "no number"] {
        assert!(shown.printed.contains(part), "{part}: {}", shown.printed);
    }
    let slip = sidecar(data.path(), &[&["dlq", "purge"][..], &of].concat()).await;
    assert_eq!(slip.code, 2, "{}", slip.printed);
    assert!(slip.printed.contains("--all"), "{}", slip.printed);
    let purge = [&["dlq", "purge", "--key", "key-3"][..], &of].concat();
    let dry = sidecar(data.path(), &[&purge[..], &["--dry-run"]].concat()).await;
    assert_eq!(dry.printed, "would delete 1 dead letters of orders\n");
    sidecar(data.path(), &purge).await;
    let gone = sidecar(data.path(), &[&["dlq", "show", "3"][..], &of].concat()).await;
    assert_eq!(gone.code, 2, "{}", gone.printed);
    assert!(gone.printed.contains("has no dead letter 3"), "{}", gone.printed);
}

#[tokio::test(flavor = "multi_thread")]
async fn replayed_dead_letters_come_back_to_the_sink_once_unless_asked_again() {
    let broker = Broker::start().await;
    let data = tempfile::tempdir().unwrap();
    let (topic, name) = (unique("/default/in"), unique("sink"));
    publish(broker.url(), &topic, &[]).await;
    keep(data.path(), &topic, 5).await;
    let running = SidecarBuilder::new(broker.url()).data_dir(data.path()).start().await;
    let (mut worker, _) = SinkWorker::open(&running, open(&name, &topic)).await;
    running.attached(&name).await;
    let replay = ["dlq", "replay", "--connector", "orders"];

    let dry = sidecar(data.path(), &[&replay[..], &["--dry-run"]].concat()).await;
    assert_eq!(dry.printed, format!("would replay 5 dead letters\n  5 to {topic}\n"));
    let some = sidecar(data.path(), &[&replay[..], &["--limit", "2"]].concat()).await;
    assert!(some.printed.starts_with("replayed 2 dead letters\n"), "{}", some.printed);
    let rest = sidecar(data.path(), &[&replay[..], &["--rate", "2/s"]].concat()).await;
    assert!(rest.printed.starts_with("replayed 3 dead letters\n"), "{}", rest.printed);
    let none = sidecar(data.path(), &replay).await;
    assert_eq!(none.printed, "replayed 0 dead letters\n");
    let again = [&replay[..], &["--again", "--key", "key-4"]].concat();
    assert_eq!(sidecar(data.path(), &again).await.code, 0);

    let records = worker.take(6).await;
    let payloads: Vec<_> = records.iter().map(|record| &*record.payload).collect();
    let expected = [1, 2, 3, 4, 5, 4].map(|number| format!("payload {number}").into_bytes());
    assert_eq!(payloads, expected.each_ref().map(Vec::as_slice));
    let attributes = &records[0].attributes;
    let attribute = |name: &str| attributes.get(name).map(String::as_str);
    assert_eq!((attribute("trace"), attribute("x-dedup-id")), (Some("abc"), Some("dedup-1")));
    assert_eq!(attribute("x-replayed-from"), Some("orders/1"));
    assert_eq!((attribute("x-failure-class"), attribute("x-connector")), (None, None));
    assert_eq!(records[0].key.as_deref(), Some("key-1"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rejected_record_of_a_source_has_a_copy_that_another_topic_can_get() {
    let broker = Broker::start().await;
    let data = tempfile::tempdir().unwrap();
    let running = SidecarBuilder::new(broker.url()).data_dir(data.path()).start().await;
    let (topic, name) = (unique("/default/out"), unique("source"));
    let (mut source, _) = SourceSession::open(&running, &name, &topic).await;
    let record = SourceRecord {
        topic: "/default/undeclared".to_owned(),
        payload: "lost?".into(),
        ..SourceRecord::default()
    };
    source.send(Frame::Records(SourceRecords { first_number: 1, records: vec![record] })).await;
    while !matches!(source.next().await, Ok(Some(In::Committed(_)))) {}

    let of = ["--connector", name.as_str()];
    let listed = sidecar(data.path(), &[&["dlq", "list"][..], &of].concat()).await;
    assert!(listed.printed.contains("UNDECLARED_TOPIC"), "{}", listed.printed);
    assert!(listed.printed.contains("published"), "{}", listed.printed);
    let replay = [&["dlq", "replay"][..], &of].concat();
    let nowhere = sidecar(data.path(), &replay).await;
    assert!(nowhere.printed.contains("not 1: it came from a source"), "{}", nowhere.printed);
    let mended = sidecar(data.path(), &[&replay[..], &["--to", &topic]].concat()).await;
    assert!(mended.printed.contains(&format!("1 to {topic}")), "{}", mended.printed);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_data_directory_the_commands_say_so() {
    let broker = Broker::start().await;
    let alone = SidecarBuilder::new(broker.url()).start().await;
    let address = ["--address", alone.http_address()];
    let asked = run(&[&["dlq", "list", "--connector", "orders"][..], &address].concat()).await;
    assert_eq!(asked.code, 4, "{}", asked.printed);
    assert!(asked.printed.contains("dead letters are in their topic only"), "{}", asked.printed);

    let nobody = run(&["status", "--address", "http://127.0.0.1:9"]).await;
    assert_eq!(nobody.code, 4, "{}", nobody.printed);
    assert!(nobody.printed.contains("no sidecar answers at http://127.0.0.1:9"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sidecar_with_a_token_wants_it_for_the_admin_api() {
    let broker = Broker::start().await;
    let data = tempfile::tempdir().unwrap();
    let token = data.path().join("token");
    fs::write(&token, "s3same\n").unwrap();
    let table = format!("[sidecar]\ntoken_file = \"{}\"\n", token.display());
    let running =
        SidecarBuilder::new(broker.url()).config(&table).data_dir(data.path()).start().await;

    assert_eq!(running.page("/admin/v1/checkpoints/orders").await.0, 401);
    assert_eq!(running.page("/status").await.0, 200);
    let stranger = sidecar(data.path(), &["checkpoint", "get", "orders"]).await;
    assert_eq!(stranger.code, 3, "{}", stranger.printed);
    assert!(stranger.printed.contains("the token is missing"), "{}", stranger.printed);
    let config = data.path().join("sidecar.toml");
    fs::write(&config, format!("danube_service_url = \"{}\"\n{table}", broker.url())).unwrap();
    let named = ["checkpoint", "get", "orders", "--config", config.to_str().unwrap()];
    let known = sidecar(data.path(), &named).await;
    assert_eq!(known.code, 0, "{}", known.printed);
}

#[tokio::test(flavor = "multi_thread")]
async fn status_shows_sinks_and_sources() {
    let broker = Broker::start().await;
    let data = tempfile::tempdir().unwrap();
    let running = SidecarBuilder::new(broker.url()).data_dir(data.path()).start().await;
    let (topic, name) = (unique("/default/out"), unique("source"));
    let (_source, _) = SourceSession::open(&running, &name, &topic).await;
    let (_worker, _) = SinkWorker::open(&running, open("a-sink", &topic)).await;

    let shown = sidecar(data.path(), &["status"]).await;

    assert_eq!(shown.code, 0, "{}", shown.printed);
    for part in ["broker: up", "SINK", "a-sink", "SOURCE", &name, "session-1"] {
        assert!(shown.printed.contains(part), "{part}: {}", shown.printed);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_of_an_inbox_that_keeps_nothing_names_the_setting() {
    let data = tempfile::tempdir().unwrap();
    let replay = ["replay", "--connector", "orders", "--from", "10m"];
    let refused = sidecar(data.path(), &replay).await;
    assert_eq!(refused.code, 3, "{}", refused.printed);
    assert!(refused.printed.contains("set [inbox] retain"), "{}", refused.printed);
    let wrong = sidecar(data.path(), &["replay", "--connector", "orders", "--from", "soon"]).await;
    assert_eq!(wrong.code, 2, "{}", wrong.printed);
}

#[tokio::test(flavor = "multi_thread")]
async fn resolved_records_that_the_inbox_keeps_are_offered_again() {
    let broker = Broker::start().await;
    let data = tempfile::tempdir().unwrap();
    let config = "[danube]\ncreate_topics = true\n[inbox]\nretain = \"1h\"\n";
    let start = SidecarBuilder::new(broker.url()).config(config).data_dir(data.path());
    let running = start.start().await;
    let (topic, name) = (unique("/default/in"), unique("sink"));
    let (mut worker, _) = SinkWorker::open(&running, open(&name, &topic)).await;
    running.attached(&name).await;
    let sent: Vec<String> = (0..3).map(|n| format!("record {n}")).collect();
    publish(broker.url(), &topic, &sent).await;
    worker.write(3).await;
    running.settled(&name).await;

    let address = ["--address", running.http_address(), "--connector", &name];
    let replay = run(&[&["replay", "--from", "10m"][..], &address].concat()).await;

    assert_eq!(replay.printed, format!("3 records of {name} are offered again\n"));
    assert_eq!(worker.write(3).await, sent);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_letter_of_a_sink_is_mended_by_a_replay() {
    let broker = Broker::start().await;
    let data = tempfile::tempdir().unwrap();
    let config = "[danube]\ncreate_topics = true\n";
    let start = SidecarBuilder::new(broker.url()).config(config).data_dir(data.path());
    let running = start.start().await;
    let (topic, name) = (unique("/default/in"), unique("sink"));
    let (mut worker, _) = SinkWorker::open(&running, open(&name, &topic)).await;
    running.attached(&name).await;
    publish(broker.url(), &topic, &["sick".to_owned()]).await;
    let sick = worker.take(1).await;
    worker.fail(&sick[0], Outcome::Reject).await;
    running.settled(&name).await;

    let of = ["--connector", name.as_str()];
    let listed = sidecar(data.path(), &[&["dlq", "list"][..], &of].concat()).await;
    assert!(listed.printed.contains("REJECT") && listed.printed.contains("published"));
    let replay = sidecar(data.path(), &[&["dlq", "replay"][..], &of].concat()).await;
    assert_eq!(replay.code, 0, "{}", replay.printed);

    let again = worker.take(1).await;
    assert_eq!(again[0].attributes.get("x-dedup-id"), Some(&sick[0].dedup_id));
    assert_eq!(again[0].payload, sick[0].payload);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_data_directory_holds_is_listed_and_a_start_that_strands_it_is_refused() {
    let broker = Broker::start().await;
    let data = tempfile::tempdir().unwrap();
    keep(data.path(), "/default/orders", 2).await;
    let store = Store::open(data.path()).unwrap();
    let settings = InboxSettings { fsync: false, max_bytes: 1 << 20, retain: Duration::ZERO };
    let inbox = store.inbox("old", settings).await.unwrap();
    inbox.append(vec![Arc::new(record())]).await.unwrap();
    drop((inbox, store));

    let stopped = sidecar(data.path(), &["store", "list", "-o", "json"]).await;
    let list: Value = serde_json::from_str(&stopped.printed).unwrap();
    let [old, orders] = [0, 1].map(|n| list["connectors"][n].clone());
    assert_eq!((&old["connector"], &old["records"]), (&"old".into(), &1.into()));
    assert_eq!((&orders["connector"], &orders["dead_letters"]), (&"orders".into(), &2.into()));

    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("sidecar.toml");
    let tables = "[sidecar]\nallow_unconfigured = false\n[connectors.new]\n";
    fs::write(&file, format!("danube_service_url = \"{}\"\n{tables}", broker.url())).unwrap();
    let start = [
        "run",
        "--listen",
        "127.0.0.1:0",
        "--http-listen",
        "127.0.0.1:0",
        "--config",
        file.to_str().unwrap(),
    ];
    let refused = sidecar(data.path(), &start).await;
    assert_eq!(refused.code, 1, "{}", refused.printed);
    assert!(refused.printed.contains("old is not in the file: 1 records"), "{}", refused.printed);

    let running = SidecarBuilder::new(broker.url())
        .config(&format!("{tables}adopt = \"old\"\n"))
        .data_dir(data.path())
        .start()
        .await;
    let listed = sidecar(data.path(), &["store", "list"]).await;
    assert!(
        listed.printed.contains("new") && !listed.printed.contains("old"),
        "{}",
        listed.printed
    );
    let status: Value = serde_json::from_str(&running.page("/status").await.1).unwrap();
    let left = &status["stranded"][0];
    assert_eq!((&left["connector"], &left["dead_letters"]), (&"orders".into(), &2.into()));
    let metrics = running.page("/metrics").await.1;
    assert!(
        metrics.contains("danube_sidecar_stranded_records{connector=\"orders\"} 0"),
        "{metrics}"
    );
}
