//! Connectors written with the Rust SDK, as processes of their own.

use danube_sidecar_tests::{
    Broker, Process, SidecarBuilder, binary, needs_embedded_broker, publish,
};
use tokio::process::Command;

const CONFIG: &str = "[danube]\ncreate_topics = true\n";

fn hello_sink(address: &str) -> Process {
    let mut command = Command::new(binary("examples/hello_sink"));
    Process::start("hello_sink", command.env("DANUBE_SIDECAR_ADDRESS", address))
}

#[tokio::test(flavor = "multi_thread")]
async fn the_readmes_sink_goes_on_after_it_and_the_sidecar_were_killed() {
    if needs_embedded_broker("the_readmes_sink_goes_on_after_it_and_the_sidecar_were_killed") {
        return;
    }
    // Its topic is fixed: on a shared broker, runs would meet there.
    let broker = Broker::embedded(&[]).await;
    let data = tempfile::tempdir().unwrap();
    let start = || {
        SidecarBuilder::new(broker.url()).config(CONFIG).data_dir(data.path()).unix_socket().start()
    };
    let mut sidecar = start().await;
    let mut sink = hello_sink(sidecar.address());
    sidecar.attached("hello").await;
    publish(broker.url(), "/default/hello", &["first".to_owned()]).await;
    sink.line("first").await;

    sink.kill().await;
    let sink = hello_sink(sidecar.address());
    publish(broker.url(), "/default/hello", &["second".to_owned()]).await;
    sink.line("second").await;

    sidecar.process().kill().await;
    let sidecar = start().await;
    let sink = hello_sink(sidecar.address());
    sidecar.attached("hello").await;
    publish(broker.url(), "/default/hello", &["third".to_owned()]).await;
    sink.line("third").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sink_outlives_a_sidecar_that_comes_back_at_the_same_address() {
    if needs_embedded_broker("a_sink_outlives_a_sidecar_that_comes_back_at_the_same_address") {
        return;
    }
    let broker = Broker::embedded(&[]).await;
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("s.sock");
    let config = format!("{CONFIG}[sidecar]\nunix_socket = \"{}\"\n", socket.display());
    let start = || SidecarBuilder::new(broker.url()).config(&config).start();
    let mut sidecar = start().await;
    let sink = hello_sink(sidecar.address());
    sidecar.attached("hello").await;

    sidecar.process().kill().await;
    let sidecar = start().await;
    sidecar.attached("hello").await;
    publish(broker.url(), "/default/hello", &["after".to_owned()]).await;
    sink.line("after").await;
}
