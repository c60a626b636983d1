//! The guide's main functions: a TOML file, the environment, a sidecar.

use std::{fs, process::Stdio};

use danube_connector_proto::v1::{
    sink_service_run_request::Frame as SinkUp, source_service_run_request::Frame as SourceUp,
};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tokio::process::{Child, Command};

use crate::sidecar::{ScriptedSidecar, record, within};

const CONFIG: &str = r#"
danube_service_url = "http://in-the-file:6650"
connector_name = "from-the-guide"

[processing]
batch_size = 20

[my_connector]
url = "db://here"
topic = "/default/guide"

[some_other_table]
of = "nobody"
"#;

struct Connector {
    process: Child,
    _directory: tempfile::TempDir,
}

impl Connector {
    fn start(binary: &str, sidecar: &ScriptedSidecar) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let config = directory.path().join("connector.toml");
        fs::write(&config, CONFIG).expect("a configuration");
        let process = Command::new(binary)
            .env("CONNECTOR_CONFIG_PATH", config)
            .env("DANUBE_SERVICE_URL", "http://in-the-environment:6650")
            .env("DANUBE_SIDECAR_ADDRESS", &sidecar.address)
            .stdout(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .expect("it starts");
        Self { process, _directory: directory }
    }

    fn terminate(&self) {
        let pid = self.process.id().and_then(|id| i32::try_from(id).ok()).expect("it runs");
        kill(Pid::from_raw(pid), Signal::SIGTERM).expect("it is there");
    }

    async fn ends_well(mut self) -> bool {
        within(self.process.wait()).await.expect("it ends").success()
    }
}

#[tokio::test]
async fn the_sink_of_the_guide_runs() {
    let mut sidecar = ScriptedSidecar::on_tcp().await;
    let connector = Connector::start(env!("CARGO_BIN_EXE_block_22_sink"), &sidecar);
    let mut session = sidecar.sink().await;
    assert_eq!(session.open.connector, "from-the-guide");
    assert_eq!(session.open.danube_service_url, "http://in-the-environment:6650");
    assert_eq!(session.open.max_batch_records, 20);
    assert_eq!(session.open.subscriptions[0].topic, "/default/guide");
    session.opened().await;
    session.batch(vec![record(1, None, "text")]).await;
    assert_eq!(session.outcomes(1).await.0, [1]);
    connector.terminate();
    assert!(matches!(session.next().await, Some(SinkUp::Drained(_))));
    drop(session);

    assert!(connector.ends_well().await);
}

#[tokio::test]
async fn the_source_of_the_guide_runs() {
    let mut sidecar = ScriptedSidecar::on_tcp().await;
    let connector = Connector::start(env!("CARGO_BIN_EXE_block_23_source"), &sidecar);
    let mut session = sidecar.source().await;
    session.opened(vec![]).await;
    session.demand(10).await;
    assert_eq!(session.texts(1, 1).await, ["db://here"]);
    session.committed(1).await;
    connector.terminate();
    assert!(matches!(session.next().await, Some(SourceUp::Drained(_))));
    drop(session);

    assert!(connector.ends_well().await);
}

#[tokio::test]
async fn a_connector_without_a_configuration_says_what_is_missing() {
    let output = Command::new(env!("CARGO_BIN_EXE_block_22_sink"))
        .env_remove("CONNECTOR_CONFIG_PATH")
        .kill_on_drop(true)
        .output();
    let output = within(output).await.expect("it ends");

    assert!(!output.status.success());
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(error.contains("CONNECTOR_CONFIG_PATH"), "{error}");
}
