//! The program `danube-devbroker`.

mod support;

use std::{path::Path, process::Stdio};

use danube_client::SubType;
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use support::{Fixture, SOON, send};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
    time::timeout,
};

fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_danube-devbroker"));
    command.args(["--listen", "127.0.0.1:0", "--no-admin"]).args(arguments);
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    command
}

/// A running program and the url it printed.
async fn start(arguments: &[&str]) -> (Child, Fixture) {
    let mut child = command(arguments).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let url = timeout(SOON, lines.next_line()).await.unwrap().unwrap().expect("a line");
    let fixture = Fixture::of(&url).await;
    (child, fixture)
}

fn arguments(dir: &Path) -> [&str; 2] {
    ["--data-dir", dir.to_str().unwrap()]
}

#[tokio::test(flavor = "multi_thread")]
async fn it_says_where_it_listens_serves_and_stops_on_sigterm() {
    let (mut child, fixture) = start(&["--profile", "danube-0.15"]).await;
    let producer = fixture.producer("/default/topic").await;
    let mut reader = fixture.consumer("/default/topic", "reader", SubType::Exclusive).await;
    send(&producer, "hello").await;
    assert_eq!(reader.next_acked().await, "hello");

    let id = i32::try_from(child.id().unwrap()).unwrap();
    kill(Pid::from_raw(id), Signal::SIGTERM).unwrap();
    assert!(timeout(SOON, child.wait()).await.unwrap().unwrap().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn confirmed_publishes_survive_sigkill() {
    let dir = tempfile::tempdir().unwrap();
    let (mut child, fixture) = start(&arguments(dir.path())).await;
    let producer = fixture.producer("/default/topic").await;
    fixture.consumer("/default/topic", "reader", SubType::Exclusive).await.close().await;
    for number in 0..50 {
        send(&producer, &number.to_string()).await;
    }
    child.kill().await.unwrap();

    let (_child, fixture) = start(&arguments(dir.path())).await;
    let mut reader = fixture.consumer("/default/topic", "reader", SubType::Exclusive).await;
    assert_eq!(reader.drain(50).await, (0..50).map(|n| n.to_string()).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_oddity_is_refused_with_those_there_are() {
    let output = command(&["--oddity", "gremlins"]).output().await.unwrap();
    assert!(!output.status.success());
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("gremlins") && said.contains("no-failover"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_in_use_ends_it_with_a_word_about_it() {
    let dir = tempfile::tempdir().unwrap();
    let (_child, _fixture) = start(&arguments(dir.path())).await;
    let output = command(&arguments(dir.path())).output().await.unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("used by another broker"), "{said}");
}
