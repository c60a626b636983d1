//! The port of people and probes, over TCP: names, heads that never end, and what
//! happens to a file of the operator's.

use std::{net::SocketAddr, time::Duration};

use axum::{Router, routing::get};
use danube_sidecar::{gate::Hosts, server::Pages};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    time::timeout,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

async fn pages() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let pages = Pages {
        router: Router::new().route("/status", get(async || "a page")),
        hosts: Hosts::new(&["sidecar.example".to_owned()]),
        stop: CancellationToken::new(),
        tasks: TaskTracker::new(),
    };
    tokio::spawn(pages.serve(listener));
    address
}

async fn answer(address: SocketAddr, head: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

async fn asked_for(host: &str, more: &str) -> String {
    let head = format!("GET /status HTTP/1.1\r\nHost: {host}\r\n{more}Connection: close\r\n\r\n");
    answer(pages().await, &head).await
}

#[tokio::test]
async fn no_page_is_shown_to_who_calls_us_by_another_name() {
    for (host, more) in [
        ("evil.example:6671", ""),
        ("127.0.0.1.evil.example", ""),
        ("127.0.0.1:6671", "Origin: http://evil.example\r\n"),
        ("127.0.0.1:6671", "Host: evil.example\r\n"),
    ] {
        let answer = asked_for(host, more).await;
        assert!(!answer.contains("a page"), "{host} {more}: {answer}");
        assert!(answer.starts_with("HTTP/1.1 40"), "{host} {more}: {answer}");
    }
    let answer = asked_for("evil.example", "").await;
    assert!(answer.contains("FOREIGN_HOST") && answer.contains("allowed_hosts"), "{answer}");
}

#[tokio::test]
async fn a_probe_of_the_pods_address_and_the_names_of_the_file_are_answered() {
    for host in ["10.42.0.7:6671", "[fd00::7]:6671", "localhost:6671", "sidecar.example"] {
        assert!(asked_for(host, "").await.ends_with("a page"), "{host}");
    }
}

#[tokio::test]
async fn a_request_without_a_host_is_refused() {
    let answer = answer(pages().await, "GET /status HTTP/1.0\r\n\r\n").await;
    assert!(answer.contains("FOREIGN_HOST"), "{answer}");
}

#[tokio::test]
async fn a_head_beyond_its_bound_is_refused() {
    let head = format!("GET /{} HTTP/1.1\r\nHost: localhost\r\n\r\n", "a".repeat(1 << 20));
    let mut stream = TcpStream::connect(pages().await).await.unwrap();
    // What is not read any more resets the connection.
    let _ = stream.write_all(head.as_bytes()).await;
    let mut answer = Vec::new();
    let _ = timeout(Duration::from_secs(30), stream.read_to_end(&mut answer)).await.unwrap();
    let answer = String::from_utf8_lossy(&answer);
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{answer}");
}
