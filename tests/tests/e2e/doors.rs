//! What strangers and hostile peers can do to an operator: nothing.

use std::{fs, os::unix::fs::PermissionsExt as _, path::Path, process::Output};

use danube_connector_proto::v1::{
    Outcome, SinkFailure, SinkOpen, SinkResults, sink_service_run_request::Frame,
};
use danube_sidecar_tests::{
    Broker, Process, SidecarBuilder, SinkWorker, binary, eventually, open, publish_keyed, unique,
};
use tokio::process::Command;

/// Titles, colours and an emptied screen, and a line that could be the log's.
const HOSTILE: &str = "\x1b]0;title\x07\x1b[31mRED\x1b[2J\n2026-11-30T00:00:00Z ERROR forged";

async fn run(arguments: &[&str]) -> Output {
    let mut command = Command::new(binary("danube-sidecar"));
    command.args(arguments).env_remove("DANUBE_SERVICE_URL");
    command.output().await.unwrap()
}

fn harmless(text: &str) -> bool {
    !text.chars().any(|c| c.is_control() && c != '\n')
        && !text.lines().any(|line| line.starts_with("2026-11-30T00:00:00Z"))
}

#[tokio::test(flavor = "multi_thread")]
async fn what_peers_say_neither_steers_the_operators_terminal_nor_writes_in_the_log() {
    let broker = Broker::start().await;
    let folder = tempfile::tempdir().unwrap();
    let mut sidecar = SidecarBuilder::new(broker.url())
        .config("[danube]\ncreate_topics = true\n")
        .data_dir(folder.path())
        .start()
        .await;
    let (topic, name) = (unique("/default/in"), unique("sink"));
    let opened = SinkOpen { worker_id: "w1".to_owned(), ..open(&name, &topic) };
    let (mut worker, _) = SinkWorker::open(&sidecar, opened).await;
    sidecar.attached(&name).await;
    let key = format!("key{HOSTILE}");
    publish_keyed(broker.url(), &topic, &[(Some(&*key), "a")]).await;
    let record = worker.batch().await.remove(0);
    let failure = SinkFailure {
        delivery_id: record.delivery_id,
        outcome: Outcome::Reject.into(),
        code: format!("C{HOSTILE}"),
        message: format!("M{HOSTILE}"),
        ..SinkFailure::default()
    };
    worker.send(Frame::Results(SinkResults { acked: vec![], failures: vec![failure] })).await;
    sidecar.settled(&name).await;

    let address = sidecar.http_address().to_owned();
    let reach = ["--connector", &name, "--address", &address];
    for command in [&["dlq", "list"][..], &["dlq", "show", "1"], &["dlq", "replay"]] {
        let said = run(&[command, &reach].concat()).await;
        let success = said.status.success();
        let text = String::from_utf8_lossy(&[said.stdout, said.stderr].concat()).into_owned();
        assert!(success && harmless(&text), "{command:?}: {text}");
    }
    let status = run(&["status", "--address", &address]).await;
    assert!(harmless(&String::from_utf8_lossy(&status.stdout)), "{status:?}");
    let json = run(&[&["dlq", "list", "--output", "json"][..], &reach].concat()).await;
    let list: serde_json::Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!(list["letters"][0]["key"], *key, "for programs it is unchanged");
    assert!(harmless(&sidecar.process().output()));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_sidecar_keeps_is_for_its_own_user() {
    let broker = Broker::start().await;
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let _sidecar = SidecarBuilder::new(broker.url()).data_dir(&data).start().await;
    let open_to_others = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o077;
    let mut folders = vec![data];
    while let Some(folder) = folders.pop() {
        assert_eq!(open_to_others(&folder), 0, "{}", folder.display());
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                assert_eq!(open_to_others(&path), 0, "{}", path.display());
            }
        }
    }
}

/// What a sidecar says that must not start.
async fn refused(config: &str, arguments: &[&str]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sidecar.toml");
    fs::write(&path, format!("danube_service_url = \"http://127.0.0.1:1\"\n{config}")).unwrap();
    let mut command = Command::new(binary("danube-sidecar"));
    command.args(["run", "--http-listen", "127.0.0.1:0", "--config"]).arg(&path).args(arguments);
    let mut process = Process::start("sidecar", command.env_remove("DANUBE_SERVICE_URL"));
    assert!(!process.exit().await.success());
    eventually("its last words", || async { Some(process.output()).filter(|o| !o.is_empty()) })
        .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_that_would_let_everybody_in_or_nobody_is_refused() {
    let said = refused("", &["--listen", "0.0.0.0:0"]).await;
    assert!(said.contains("allow_insecure_listen"), "{said}");
    let token = "[sidecar]\ntoken_file = \"/dev/null\"\n";
    let said = refused(token, &["--listen", "127.0.0.1:0"]).await;
    assert!(said.contains("token_file /dev/null cannot be used"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_at_the_sockets_path_stays() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("precious");
    fs::write(&path, "content").unwrap();
    let said =
        refused("", &["--listen", "127.0.0.1:0", "--unix-socket", path.to_str().unwrap()]).await;
    assert!(said.contains("not a socket"), "{said}");
    assert_eq!(fs::read_to_string(&path).unwrap(), "content");
}
