//! Positions in an object store: durable, fenced across sidecars, never ahead.

use std::{
    fs,
    path::{Path, PathBuf},
};

use danube_connector_proto::v1::source_service_run_response::Frame as In;
use danube_sidecar_tests::{
    Broker, Process, Sidecar, SidecarBuilder, SourceSession, consume, eventually, publish, unique,
};
use tokio::process::Command;
use tonic::Code;

/// Where the positions of a test are.
struct Place {
    config: String,
    /// The S3 server and the folder live as long as the test.
    _moto: Option<Process>,
    _folder: Option<tempfile::TempDir>,
}

impl Place {
    fn directory() -> (Self, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().to_owned();
        let config = format!("[checkpoints]\nurl = \"file://{}\"\n", path.display());
        (Self { config, _moto: None, _folder: Some(folder) }, path)
    }

    /// A bucket of a real S3 server; none where it is not installed.
    async fn bucket(test: &str) -> Option<Self> {
        let tools = Path::new(env!("CARGO_MANIFEST_DIR")).join("../.tools");
        if !tools.join("moto").is_dir() {
            assert!(std::env::var_os("CI").is_none(), "moto is not installed: tools/setup moto");
            eprintln!("{test}: skipped: moto not installed (tools/setup moto)");
            return None;
        }
        let mut command = Command::new(tools.join("venv/bin/python"));
        command.args(["-m", "moto.server", "-H", "127.0.0.1", "-p", "0"]);
        let moto = Process::start("moto", command.env("PYTHONPATH", tools.join("moto")));
        let line = moto.line("Running on http://").await;
        let endpoint = line.split(' ').find(|word| word.starts_with("http://")).unwrap();
        let created = reqwest::Client::new().put(format!("{endpoint}/bucket")).send().await;
        assert!(created.unwrap().status().is_success());
        let config = format!(
            "[checkpoints]\nurl = \"s3://bucket/sidecars\"\n[checkpoints.options]\n\
             endpoint = \"{endpoint}\"\nallow_http = true\nregion = \"us-east-1\"\n\
             access_key_id = \"test\"\nsecret_access_key = \"not in any log\"\n"
        );
        Some(Self { config, _moto: Some(moto), _folder: None })
    }

    /// A sidecar without a disk of its own.
    async fn sidecar(&self, broker: &Broker) -> Sidecar {
        SidecarBuilder::new(broker.url()).config(&self.config).start().await
    }
}

fn payloads(count: usize) -> Vec<String> {
    (0..count).map(|n| format!("record {n}")).collect()
}

async fn a_newer_session_elsewhere_takes_over(place: Place) {
    let broker = Broker::start().await;
    let (one, other) = (place.sidecar(&broker).await, place.sidecar(&broker).await);
    let (topic, name) = (unique("/default/out"), unique("source"));
    let (mut older, first) = SourceSession::open(&one, &name, &topic).await;
    older.records(1, &payloads(5)).await;
    older.committed(5).await;

    let (mut newer, second) = SourceSession::open(&other, &name, &topic).await;
    assert!(second.epoch > first.epoch);
    assert_eq!(second.positions[0].offset, 5);
    older.records(6, &payloads(1)).await;
    let status = loop {
        match older.next().await {
            Err(status) => break status,
            Ok(Some(In::Committed(frame))) => assert!(frame.number <= 5, "a stale epoch commits"),
            Ok(frame) => assert!(frame.is_some(), "the older session ended without a status"),
        }
    };

    assert_eq!(status.code(), Code::Aborted, "{status:?}");
    newer.records(6, &payloads(3)).await;
    newer.committed(3).await;
    let third = place.sidecar(&broker).await;
    let (_, opened) = SourceSession::open(&third, &name, &topic).await;
    assert_eq!(opened.positions[0].offset, 8);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_newer_session_at_another_sidecar_takes_over_in_s3() {
    let Some(place) = Place::bucket("takes_over_in_s3").await else { return };
    a_newer_session_elsewhere_takes_over(place).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_newer_session_at_another_sidecar_takes_over_in_a_directory() {
    a_newer_session_elsewhere_takes_over(Place::directory().0).await;
}

async fn a_killed_sidecar_resumes_where_it_committed(place: Place) {
    let broker = Broker::start().await;
    let (topic, name) = (unique("/default/out"), unique("source"));
    let mut sidecar = place.sidecar(&broker).await;
    let (mut source, _) = SourceSession::open(&sidecar, &name, &topic).await;
    source.records(1, &payloads(10)).await;
    source.committed(10).await;
    sidecar.process().kill().await;
    assert!(!sidecar.process().output().contains("not in any log"));

    let sidecar = place.sidecar(&broker).await;
    let (_, opened) = SourceSession::open(&sidecar, &name, &topic).await;
    let position = &opened.positions[0];
    assert_eq!((position.source_partition.as_str(), position.offset), ("file", 10));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_sidecar_without_a_disk_resumes_from_s3() {
    let Some(place) = Place::bucket("resumes_from_s3").await else { return };
    a_killed_sidecar_resumes_where_it_committed(place).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_sidecar_without_a_disk_resumes_from_a_directory() {
    a_killed_sidecar_resumes_where_it_committed(Place::directory().0).await;
}

/// Makes writes of a source's checkpoint fail, until it is taken away.
fn obstacle(root: &Path, connector: &str) -> PathBuf {
    let obstacle = root.join("source").join(format!("{connector}.new"));
    fs::create_dir_all(&obstacle).unwrap();
    obstacle
}

/// What keeps the positions of a source from becoming durable.
async fn trouble(sidecar: &Sidecar, connector: &str) -> Option<String> {
    sidecar.source(connector).await["trouble"].as_str().map(str::to_owned)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_is_away_delays_commits_and_ends_no_session() {
    let broker = Broker::start().await;
    let (place, root) = Place::directory();
    let mut sidecar = place.sidecar(&broker).await;
    let (topic, name) = (unique("/default/out"), unique("source"));
    let (mut source, _) = SourceSession::open(&sidecar, &name, &topic).await;
    source.records(1, &payloads(5)).await;
    source.committed(5).await;
    let obstacle = obstacle(&root, &name);

    source.records(6, &payloads(3)).await;
    let told = eventually("the trouble", || trouble(&sidecar, &name)).await;
    assert!(told.contains("check its space and rights"), "{told}");
    fs::remove_dir(obstacle).unwrap();

    source.committed(8).await;
    assert_eq!(trouble(&sidecar, &name).await, None);
    sidecar.process().line("positions become durable again").await;
    sidecar.process().count("positions do not become durable", 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_between_confirm_and_commit_leaves_no_position_ahead() {
    let broker = Broker::start().await;
    let (place, root) = Place::directory();
    let mut sidecar = place.sidecar(&broker).await;
    let (topic, name) = (unique("/default/out"), unique("source"));
    publish(broker.url(), &topic, &[]).await;
    let (mut source, _) = SourceSession::open(&sidecar, &name, &topic).await;
    let received = consume(broker.url(), &topic, 6, async {
        source.records(1, &payloads(5)).await;
        source.committed(5).await;
        let obstacle = obstacle(&root, &name);
        source.records(6, &payloads(1)).await;
        eventually("the confirmed record's commit", || trouble(&sidecar, &name)).await;
        sidecar.process().kill().await;
        fs::remove_dir(obstacle).unwrap();
    })
    .await;
    assert_eq!(received.len(), 6);

    let sidecar = place.sidecar(&broker).await;
    let (mut source, opened) = SourceSession::open(&sidecar, &name, &topic).await;
    assert_eq!(opened.positions[0].offset, 5);
    source.records(6, &payloads(3)).await;
    source.committed(3).await;
}
