//! Messages that never end, from callers that nobody knows.

use std::time::Duration;

use futures::future::join_all;
use tokio::time::{Instant, timeout};
use tonic::Code;

use crate::{
    calls::{CHECK, Caller, REFLECTION, SINK, SOURCE, WATCH, half_message, prefix},
    house::House,
};

/// As many as a connection may have.
const STREAMS: usize = 100;

/// Each stream of a connection begins a message of 4 MiB and stops: how the streams
/// ended, and after how long.
async fn attack(path: &str) -> (Vec<Code>, Duration) {
    let house = House::open().await;
    let caller = Caller::new(house.dial().await).await;
    let begun = half_message(4 << 20).slice(..1 << 10);
    let since = Instant::now();
    let one = async || {
        let mut call = caller.call(path, &[]).await;
        call.send(begun.clone()).await;
        call.end().await.code()
    };
    let streams = join_all((0..STREAMS).map(|_| one()));
    let codes = timeout(Duration::from_secs(120), streams).await.expect("they end");
    (codes, since.elapsed())
}

#[tokio::test(start_paused = true)]
async fn half_an_open_of_megabytes_is_refused_at_its_first_bytes() {
    for path in [SINK, SOURCE] {
        let (codes, after) = attack(path).await;
        assert_eq!(codes, [Code::ResourceExhausted; STREAMS], "{path}");
        assert!(after < Duration::from_secs(1), "{after:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn half_a_question_for_health_or_reflection_is_refused_at_its_first_bytes() {
    // Reflection ends a stream that it cannot read as if it had said all.
    for (path, code) in
        [(CHECK, Code::OutOfRange), (WATCH, Code::OutOfRange), (REFLECTION, Code::Ok)]
    {
        let (codes, after) = attack(path).await;
        assert_eq!(codes, [code; STREAMS], "{path}");
        assert!(after < Duration::from_secs(1), "{after:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_open_that_never_ends_is_waited_for_in_vain_ten_seconds() {
    let house = House::open().await;
    let caller = Caller::new(house.dial().await).await;
    for begun in [prefix(0).slice(..0), prefix(0).slice(..3), half_message(60 << 10)] {
        let since = Instant::now();
        let mut call = caller.call(SINK, &[]).await;
        call.send(begun).await;
        assert_eq!(call.end().await.code(), Code::InvalidArgument);
        assert!(since.elapsed() < Duration::from_secs(11), "{:?}", since.elapsed());
    }
}

#[tokio::test(start_paused = true)]
async fn a_question_that_never_ends_is_not_waited_for() {
    let house = House::open().await;
    for path in [CHECK, WATCH, REFLECTION] {
        let caller = Caller::new(house.dial().await).await;
        let mut call = caller.call(path, &[]).await;
        call.send(half_message(1 << 10)).await;
        timeout(Duration::from_secs(61), call.end()).await.expect("it ends");
    }
}
