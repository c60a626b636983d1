//! Whom a caller means, and where it comes from.

use danube_sidecar::gate::Peer;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tonic::Code;

use crate::{
    calls::{CHECK, Caller, SINK, SOURCE, prefix},
    house::House,
};

/// How a call ends that begins with an empty message.
async fn code(house: &House, peer: Peer, to: &str, path: &str, headers: &[(&str, &str)]) -> Code {
    let caller = Caller::new(house.dial_as(peer).await).await;
    let mut call = caller.call_to(to, path, headers).await;
    call.send(prefix(0)).await;
    call.finish();
    call.end().await.code()
}

fn tcp() -> Peer {
    Peer::Tcp(crate::house::SOMEBODY.parse().unwrap())
}

#[tokio::test(start_paused = true)]
async fn a_call_for_another_host_is_refused() {
    let house = House::open().await;
    for path in [SINK, SOURCE, CHECK] {
        let refused = code(&house, tcp(), "evil.example:6670", path, &[]).await;
        assert_eq!(refused, Code::PermissionDenied, "{path}");
    }
    let origin = [("origin", "http://evil.example")];
    assert_eq!(code(&house, tcp(), "127.0.0.1:6670", SINK, &origin).await, Code::PermissionDenied);
}

#[tokio::test(start_paused = true)]
async fn addresses_localhost_and_the_names_of_the_file_are_answered() {
    let house = House::open().await;
    for to in ["localhost:6670", "10.42.0.7:6670", "[::1]:6670", "sidecar.example:6670"] {
        assert_eq!(code(&house, tcp(), to, CHECK, &[]).await, Code::Ok, "{to}");
    }
}

#[tokio::test(start_paused = true)]
async fn on_the_unix_socket_every_library_has_a_name_of_its_own_for_us() {
    let house = House::open().await;
    let peer = Peer::Unix { user: 0 };
    assert_eq!(code(&house, peer, "run-danube-sidecar.sock", CHECK, &[]).await, Code::Ok);
}

#[tokio::test(start_paused = true)]
async fn http_1_is_told_where_it_belongs_and_opens_no_session() {
    let house = House::open().await;
    for host in ["evil.example:6670", "127.0.0.1:6670"] {
        let mut stream = house.dial().await;
        let request = format!(
            "POST {SOURCE} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/grpc\r\n\
             Content-Length: 5\r\n\r\n\0\0\0\0\0"
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        stream.shutdown().await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
        assert!(answer.contains("http://127.0.0.1:6671/"), "{answer}");
        assert!(!answer.contains("grpc-status"), "{answer}");
    }
}
