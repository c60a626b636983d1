//! What people do wrong first: each gets one clear message that says what to do.

use std::net::TcpListener as StdListener;

use danube_connector_proto::v1::sink_service_client::SinkServiceClient;
use danube_sidecar_tests::{
    Broker, Process, Sidecar, SidecarBuilder, SinkWorker, SourceSession, binary, eventually, open,
    publish, unique,
};
use nix::sys::signal::Signal;
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    process::Command,
};
use tonic::{Code, transport::Endpoint};

fn sidecar(arguments: &[&str]) -> Process {
    let mut command = Command::new(binary("danube-sidecar"));
    command.args(arguments).env_remove("DANUBE_SERVICE_URL").env_remove("CONNECTOR_CONFIG_PATH");
    Process::start("sidecar", &mut command)
}

/// Its exit code, and what it printed.
async fn fails(arguments: &[&str]) -> (Option<i32>, String) {
    let mut process = sidecar(arguments);
    let code = process.exit().await.code();
    process.line("danube-sidecar: ").await;
    (code, process.output())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_broker_url_is_named_with_its_remedy_and_retried() {
    let nobody = StdListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", nobody.local_addr().unwrap());
    drop(nobody);
    let sidecar = SidecarBuilder::new(&url);
    let mut sidecar = sidecar.start().await;
    let line = sidecar.process().line("cannot reach Danube").await;
    assert!(line.contains(&url) && line.contains("danube_service_url"), "{line}");
    let (code, text) = sidecar.page("/readyz").await;
    assert_eq!(code, 503, "{text}");
    assert!(text.contains("not reachable"), "{text}");
    assert_eq!(sidecar.page("/livez").await.0, 200);
    assert!(sidecar.terminate().await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_in_use_is_named_with_the_flag_that_chooses_another() {
    let taken = StdListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let (code, text) =
        fails(&["dev", "--broker-listen", "127.0.0.1:0", "--listen", &address]).await;
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains(&address) && text.contains("--listen HOST:PORT"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_brokers_port_in_use_is_named_with_its_flag() {
    let taken = StdListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let (code, text) = fails(&["dev", "--broker-listen", &address]).await;
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains(&address) && text.contains("--broker-listen"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_file_is_named_with_the_flag() {
    let (code, text) = fails(&["run", "--config", "/no/such/file.toml"]).await;
    assert_eq!(code, Some(2), "{text}");
    assert!(text.contains("/no/such/file.toml") && text.contains("--config"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_key_is_named_with_file_line_and_the_nearest_key() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sidecar.toml");
    std::fs::write(&path, "danube_service_url = \"http://127.0.0.1:1\"\n[sidecar]\nlistem = 1\n")
        .unwrap();
    let path = path.to_str().unwrap();
    for command in ["run", "validate"] {
        let (code, text) = fails(&[command, "--config", path]).await;
        assert_eq!(code, Some(2), "{text}");
        assert!(text.contains(&format!("{path}:3: unknown key `listem`")), "{text}");
        assert!(text.contains("did you mean `listen`?"), "{text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connector_that_dials_the_http_port_is_told_the_right_one() {
    let broker = Broker::start().await;
    let sidecar = Sidecar::start(broker.url()).await;
    let http = sidecar.http_address().to_owned();
    let channel = Endpoint::from_shared(http).unwrap().connect().await.unwrap();
    let status = SinkServiceClient::new(channel).run(tokio_stream::empty()).await.unwrap_err();
    assert_eq!(status.code(), Code::Unimplemented);
    assert!(status.message().contains(sidecar.address()), "{}", status.message());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_on_the_grpc_port_is_told_the_right_one() {
    let broker = Broker::start().await;
    let sidecar = Sidecar::start(broker.url()).await;
    let answer = reqwest::get(sidecar.address()).await.unwrap();
    assert_eq!(answer.status(), 400);
    let text = answer.text().await.unwrap();
    assert!(text.contains("gRPC port") && text.contains(sidecar.http_address()), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn garbage_on_the_grpc_port_is_logged_with_a_hint_and_harms_nobody() {
    let broker = Broker::start().await;
    let mut sidecar = Sidecar::start(broker.url()).await;
    let address = sidecar.address().replace("http://", "");
    let mut stream = TcpStream::connect(&address).await.unwrap();
    stream.write_all(b"\x00\x01\x02 this is no protocol\r\n\r\n").await.unwrap();
    let mut rest = Vec::new();
    // How the connection ends is the server's choice; that it ends is the point.
    let _ = stream.read_to_end(&mut rest).await;
    let line = sidecar.process().line("did not speak gRPC").await;
    assert!(line.contains("HTTP/2"), "{line}");
    assert_eq!(sidecar.page("/livez").await.0, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_child_that_cannot_be_started_is_named() {
    let mut process = sidecar(&[
        "dev",
        "--broker-listen",
        "127.0.0.1:0",
        "--listen",
        "127.0.0.1:0",
        "--http-listen",
        "127.0.0.1:0",
        "--",
        "/no/such/program",
    ]);
    let line = process.line("cannot start the connector").await;
    assert!(line.contains("/no/such/program"), "{line}");
    process.signal(nix::sys::signal::Signal::SIGTERM);
    assert!(process.exit().await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn help_shows_examples() {
    let mut process = sidecar(&["--help"]);
    assert!(process.exit().await.success());
    let line = process.line("danube-sidecar dev -- python sink.py").await;
    assert!(line.contains("laptop"), "{line}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_namespace_that_does_not_exist_is_named_with_what_creates_it() {
    let broker = Broker::start().await;
    let config = "[danube]\ncreate_topics = true\n";
    let sidecar = SidecarBuilder::new(broker.url()).config(config).start().await;
    let namespace = unique("/nobodys").trim_start_matches('/').to_owned();
    let command = format!("`danube-admin namespaces create {namespace}`");
    let says = |trouble: &Value| trouble.as_str().is_some_and(|text| text.contains(&command));

    let topic = format!("/{namespace}/out");
    let (mut source, _) = SourceSession::open(&sidecar, "source", &topic).await;
    source.records(1, &["record".to_owned()]).await;
    eventually("the source's trouble", || async {
        says(&sidecar.source("source").await["trouble"]).then_some(())
    })
    .await;

    let topic = format!("/{namespace}/in");
    let (_worker, _) = SinkWorker::open(&sidecar, open("sink", &topic)).await;
    eventually("the sink's trouble", || async {
        says(&sidecar.sink("sink").await["subscriptions"][0]["trouble"]).then_some(())
    })
    .await;
}

/// There is no admin API to create one with.
#[tokio::test(flavor = "multi_thread")]
async fn dev_takes_any_namespace() {
    let mut dev = sidecar(&[
        "dev",
        "--log-format",
        "json",
        "--listen",
        "127.0.0.1:0",
        "--http-listen",
        "127.0.0.1:0",
        "--broker-listen",
        "127.0.0.1:0",
    ]);
    let ready = dev.line("embedded Danube broker ready").await;
    let ready: Value = serde_json::from_str(&ready).unwrap();
    let url = ready["url"].as_str().unwrap();

    publish(url, "/iot/sensors", &["21".to_owned()]).await;

    dev.signal(Signal::SIGTERM);
    assert!(dev.exit().await.success());
}
