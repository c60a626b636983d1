//! What `danube-devbroker log` tells of a broker that was killed.

mod support;

use std::{collections::BTreeSet, path::Path, process::Stdio};

use danube_client::SubType;
use serde_json::Value;
use support::{Fixture, SOON, raw::SUBSCRIPTION, send};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
    time::{Duration, sleep, timeout},
};

const TOPIC: &str = "/default/topic";

/// A broker with an audit, as a program of its own.
async fn start(dir: &Path, arguments: &[&str]) -> (Child, Fixture) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_danube-devbroker"))
        .args(["--listen", "127.0.0.1:0", "--no-admin", "--audit", "--data-dir"])
        .arg(dir)
        .args(arguments)
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let url = timeout(SOON, lines.next_line()).await.unwrap().unwrap().expect("a line");
    (child, Fixture::of(&url).await)
}

/// The lines of `danube-devbroker log -o json`.
async fn log(dir: &Path, arguments: &[&str]) -> Vec<Value> {
    let output = Command::new(env!("CARGO_BIN_EXE_danube-devbroker"))
        .args(["log", "-o", "json", "--data-dir"])
        .arg(dir)
        .args(arguments)
        .output()
        .await
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn offsets(lines: &[Value]) -> Vec<u64> {
    lines.iter().map(|line| line["offset"].as_u64().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn after_sigkill_all_confirmed_publishes_are_told_acked_ones_too() {
    let dir = tempfile::tempdir().unwrap();
    let (mut child, fixture) = start(dir.path(), &[]).await;
    let producer = fixture.producer(TOPIC).await;
    let mut reader = fixture.consumer(TOPIC, "reader", SubType::Exclusive).await;
    for number in 0..5 {
        send(&producer, &number.to_string()).await;
        reader.next_acked().await;
    }
    child.kill().await.unwrap();

    let stored = log(dir.path(), &["--topic", TOPIC]).await;
    let payloads: Vec<_> = stored.iter().map(|line| line["payload"].as_str().unwrap()).collect();
    assert_eq!(payloads, ["0", "1", "2", "3", "4"]);
    assert_eq!(stored[4]["producer"], "producer");
    assert_eq!(offsets(&log(dir.path(), &["--audit"]).await), [0, 1, 2, 3, 4]);
    assert_eq!(log(dir.path(), &["--forgotten"]).await, Vec::<Value>::new());
    assert_eq!(log(dir.path(), &["--topic", "/default/other"]).await, Vec::<Value>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_broker_confirmed_and_forgot_is_told_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let arguments = ["--oddity", "forgets-confirmed"];
    let (mut child, fixture) = start(dir.path(), &arguments).await;
    let producer = fixture.producer(TOPIC).await;
    fixture.consumer(TOPIC, "reader", SubType::Exclusive).await.close().await;
    for number in 0..5 {
        send(&producer, &number.to_string()).await;
    }
    child.kill().await.unwrap();
    let (mut child, fixture) = start(dir.path(), &[]).await;
    let producer = fixture.producer(TOPIC).await;
    send(&producer, "kept under an old offset").await;
    child.kill().await.unwrap();

    assert_eq!(offsets(&log(dir.path(), &[]).await), [0]);
    let forgotten = log(dir.path(), &["--forgotten"]).await;
    assert!((4..=5).contains(&forgotten.len()), "{forgotten:?}");
    assert_eq!(offsets(&log(dir.path(), &["--audit"]).await), [0, 1, 2, 3, 4, 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_subscription_was_not_given_is_told_message_by_message() {
    let dir = tempfile::tempdir().unwrap();
    let (mut child, fixture) = start(dir.path(), &["--oddity", "live-channel-skips"]).await;
    let producer = fixture.producer(TOPIC).await;
    let reader = fixture.consumer(TOPIC, "reader", SubType::Exclusive).await;
    reader.close().await;
    for number in 0..600 {
        send(&producer, &number.to_string()).await;
    }
    let mut reader = fixture.consumer(TOPIC, "reader", SubType::Exclusive).await;
    let mut missing: BTreeSet<u64> = (0..600).collect();
    while missing.last() == Some(&599) {
        missing.remove(&reader.next_acked().await.parse().unwrap());
    }
    child.kill().await.unwrap();

    let audit = log(dir.path(), &["--audit"]).await;
    let skipped: Vec<_> = audit.into_iter().filter(|line| line["event"] == "skipped").collect();
    assert_eq!(offsets(&skipped).into_iter().collect::<BTreeSet<_>>(), missing);
    assert!(skipped.iter().all(|line| line["subscription"] == SUBSCRIPTION));
}

/// Whether a message that was acked long before a kill comes again.
async fn comes_again(arguments: &[&str]) -> bool {
    let dir = tempfile::tempdir().unwrap();
    let (mut child, fixture) = start(dir.path(), arguments).await;
    let producer = fixture.producer(TOPIC).await;
    let mut reader = fixture.consumer(TOPIC, "reader", SubType::Exclusive).await;
    send(&producer, "acked").await;
    reader.next_acked().await;
    // By then a cursor that does not lag is written: time is what this is about.
    sleep(Duration::from_millis(1500)).await;
    send(&producer, "open").await;
    child.kill().await.unwrap();

    let (_child, fixture) = start(dir.path(), arguments).await;
    let mut reader = fixture.consumer(TOPIC, "reader", SubType::Exclusive).await;
    reader.next_text().await == "acked"
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lagging_cursor_makes_acked_messages_come_again_after_a_crash() {
    assert!(comes_again(&["--oddity", "cursor-lags"]).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn acked_messages_stay_acked_after_a_crash() {
    assert!(!comes_again(&[]).await);
}
