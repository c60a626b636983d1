//! `-- CMD`: the connector beside the sidecar.

use danube_sidecar_tests::{Process, binary};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tokio::process::Command;

fn dev(script: &str) -> Process {
    let mut command = Command::new(binary("danube-sidecar"));
    command.env_remove("DANUBE_SERVICE_URL").arg("dev");
    for flag in ["--listen", "--http-listen", "--broker-listen"] {
        command.args([flag, "127.0.0.1:0"]);
    }
    Process::start("sidecar", command.args(["--", "sh", "-c", script]))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connector_is_told_the_address_and_started_again_when_it_is_killed() {
    let mut sidecar = dev("echo pid $$ at $DANUBE_SIDECAR_ADDRESS; exec sleep 1000");
    let first = sidecar.line("pid ").await;
    assert!(first.contains("at http://127.0.0.1:"), "{first}");
    let pid: i32 = first.split(' ').nth(1).unwrap().parse().unwrap();

    kill(Pid::from_raw(pid), Signal::SIGKILL).unwrap();

    sidecar.line("starting it again in").await;
    sidecar.count("at http://127.0.0.1:", 2).await;
    sidecar.signal(Signal::SIGTERM);
    assert!(sidecar.exit().await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connector_that_ends_with_success_is_not_started_again() {
    let mut sidecar = dev("exit 0");
    sidecar.line("it is not started again").await;
    sidecar.signal(Signal::SIGTERM);
    assert!(sidecar.exit().await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn sigterm_reaches_the_connector_before_the_sidecar_ends() {
    let mut sidecar =
        dev("trap 'echo asked to end; exit 0' TERM; echo here; while :; do sleep 0.05; done");
    sidecar.line("here").await;
    sidecar.signal(Signal::SIGTERM);
    assert!(sidecar.exit().await.success());
    sidecar.line("asked to end").await;
}
