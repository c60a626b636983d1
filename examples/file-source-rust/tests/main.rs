//! The binary, against a sidecar that follows a script.

#[expect(dead_code, reason = "shared with the tests of the SDK")]
#[path = "../../../sdk-rust/tests/sidecar/mod.rs"]
mod sidecar;

use std::{fs, io::Write as _, path::PathBuf, process::Stdio};

use danube_connector_proto::v1::{Position, source_service_run_request::Frame as Up};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use sidecar::{ScriptedSidecar, SourceScript, within};
use tokio::process::{Child, Command};

/// A directory with a file to read, and a sidecar.
struct World {
    directory: tempfile::TempDir,
    sidecar: ScriptedSidecar,
}

impl World {
    async fn new(lines: &str) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let sidecar = ScriptedSidecar::on_unix(directory.path()).await;
        fs::write(directory.path().join("lines"), lines).expect("a file");
        Self { directory, sidecar }
    }

    fn lines(&self) -> PathBuf {
        self.directory.path().join("lines")
    }

    fn start(&self, settings: &str) -> Child {
        let config = self.directory.path().join("config.toml");
        let text = format!(
            "danube_service_url = 'http://127.0.0.1:6650'\nconnector_name = 'lines'\n\
             [processing]\npoll_interval_ms = 5\n\
             [file]\npath = '{}'\ntopic = '/default/lines'\npartitions = 2\n{settings}",
            self.lines().display()
        );
        fs::write(&config, text).expect("a configuration");
        Command::new(env!("CARGO_BIN_EXE_file-source"))
            .env("CONNECTOR_CONFIG_PATH", config)
            .env("DANUBE_SIDECAR_ADDRESS", &self.sidecar.address)
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("the binary starts")
    }

    /// The next session, open at this byte, with demand.
    async fn session(&mut self, committed: Option<u64>) -> SourceScript {
        let session = self.sidecar.source().await;
        let source_partition = self.lines().display().to_string();
        let position = |offset| Position { source_partition, offset, metadata: None };
        session.opened(committed.map(position).into_iter().collect()).await;
        session.demand(1000).await;
        session
    }
}

fn signal(child: &Child, signal: Signal) {
    let pid = child.id().and_then(|id| i32::try_from(id).ok()).expect("it runs");
    kill(Pid::from_raw(pid), signal).expect("it is there");
}

#[tokio::test]
async fn lines_are_published_with_key_and_position() {
    let mut world = World::new("{\"origin\":\"JFK\"}\n{\"origin\":\"SFO\"}\n").await;
    let _source = world.start("key_field = 'origin'");
    let mut session = world.session(None).await;
    assert_eq!(session.open.producers[0].partitions, 2);
    let records = session.take(1, 2).await;

    assert_eq!(records[1].topic, "/default/lines");
    assert_eq!(records[1].payload, "{\"origin\":\"SFO\"}");
    assert_eq!(records[1].key.as_deref(), Some("SFO"));
    let position = records[1].position.as_ref().expect("a position");
    assert_eq!(position.offset, 34);
    assert_eq!(position.source_partition, world.lines().display().to_string());
}

#[tokio::test]
async fn a_killed_source_goes_on_behind_the_last_committed_line() {
    let mut world = World::new("a\nb\nc\n").await;
    let mut source = world.start("");
    world.session(None).await.take(1, 3).await;
    source.kill().await.expect("it is killed");
    let _source = world.start("");

    assert_eq!(world.session(Some(2)).await.texts(1, 2).await, ["b", "c"]);
}

#[tokio::test]
async fn a_line_that_is_appended_is_published() {
    let mut world = World::new("a\n").await;
    let _source = world.start("");
    let mut session = world.session(None).await;
    session.take(1, 1).await;
    let mut file = fs::OpenOptions::new().append(true).open(world.lines()).expect("the file");
    file.write_all(b"b\n").expect("it is written");

    assert_eq!(session.texts(2, 1).await, ["b"]);
}

#[tokio::test]
async fn a_source_that_ends_at_the_end_ends_well() {
    let mut world = World::new("a\nb").await;
    let mut source = world.start("exit_at_end = true");
    let mut session = world.session(None).await;
    assert_eq!(session.texts(1, 2).await, ["a", "b"]);
    assert!(matches!(session.next().await, Some(Up::Drained(_))));
    session.committed(2).await;
    drop(session);

    assert!(within(source.wait()).await.expect("it ends").success());
}

#[tokio::test]
async fn sigterm_and_sigint_end_a_source_well() {
    for asked in [Signal::SIGTERM, Signal::SIGINT] {
        let mut world = World::new("a\n").await;
        let mut source = world.start("");
        let mut session = world.session(None).await;
        session.take(1, 1).await;
        signal(&source, asked);
        assert!(matches!(session.next().await, Some(Up::Drained(_))), "{asked}");
        session.committed(1).await;
        drop(session);

        assert!(within(source.wait()).await.expect("it ends").success(), "{asked}");
    }
}

#[tokio::test]
async fn a_file_that_is_not_there_ends_the_source_with_its_name() {
    let world = World::new("").await;
    fs::remove_file(world.lines()).expect("it is removed");
    let output = within(world.start("").wait_with_output()).await.expect("it ends");

    assert!(!output.status.success());
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(error.contains(&world.lines().display().to_string()), "{error}");
}
