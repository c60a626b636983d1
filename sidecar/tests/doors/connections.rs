//! How long a connection may stay that asks for nothing.

use std::time::Duration;

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    time::{sleep, timeout},
};
use tonic::Code;

use crate::{
    calls::{CHECK, Caller, SINK, WATCH, prefix, status_of},
    house::House,
};

/// Longer than a connection may stay that nobody knows.
const LONG: Duration = Duration::from_secs(15);

#[tokio::test(start_paused = true)]
async fn a_connection_that_says_nothing_or_too_little_is_closed() {
    let house = House::open().await;
    for said in [&b""[..], b"PRI * HT", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"] {
        let mut stream = house.dial().await;
        stream.write_all(said).await.unwrap();
        let mut answer = Vec::new();
        let closed = timeout(LONG, stream.read_to_end(&mut answer)).await;
        assert!(closed.is_ok(), "{said:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_connection_without_a_request_that_was_let_in_is_closed() {
    let house = House::closed("secret").await;
    let caller = Caller::new(house.dial().await).await;
    assert_eq!(status_of(&caller, CHECK, &[]).await, Code::Ok);
    assert_eq!(status_of(&caller, SINK, &[]).await, Code::Unauthenticated);
    timeout(LONG, caller.connection).await.expect("it is closed").unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_was_let_in_stays() {
    let house = House::closed("secret").await;
    let caller = Caller::new(house.dial().await).await;
    let mut watch = caller.call(WATCH, &[("authorization", "Bearer secret")]).await;
    watch.send(prefix(0)).await;
    watch.finish();
    sleep(LONG * 20).await;
    assert!(!caller.connection.is_finished());
    assert_eq!(status_of(&caller, CHECK, &[]).await, Code::Ok);
}
