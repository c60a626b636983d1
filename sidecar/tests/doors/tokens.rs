//! What a caller without the token gets: nothing, and nothing of it is read.

use danube_sidecar::gate::Peer;
use tonic::Code;

use crate::{
    calls::{CHECK, Caller, REFLECTION, SINK, SOURCE, WATCH, half_message, status_of},
    house::House,
};

const TOKEN: &str = "secret";

#[tokio::test(start_paused = true)]
async fn every_service_wants_the_token_before_a_body_is_read() {
    let house = House::closed(TOKEN).await;
    let caller = Caller::new(house.dial().await).await;
    for path in [SINK, SOURCE, WATCH, REFLECTION, "/no.such.Service/Method"] {
        for headers in [&[][..], &[("authorization", "Bearer guess")]] {
            let mut call = caller.call(path, headers).await;
            let taken = call.send(half_message(4 << 20)).await;
            assert_eq!(call.end().await.code(), Code::Unauthenticated, "{path} {headers:?}");
            assert!(taken <= 2 << 20, "{taken} bytes of {path}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_probe_has_no_token_and_is_told_whether_we_serve() {
    let house = House::closed(TOKEN).await;
    let caller = Caller::new(house.dial().await).await;
    assert_eq!(status_of(&caller, CHECK, &[]).await, Code::Ok);
}

#[tokio::test(start_paused = true)]
async fn who_has_the_token_is_let_in_however_the_scheme_is_written() {
    let house = House::closed(TOKEN).await;
    for authorization in ["Bearer secret", "bearer secret"] {
        let caller = Caller::new(house.dial().await).await;
        let code = status_of(&caller, SINK, &[("authorization", authorization)]).await;
        assert_eq!(code, Code::InvalidArgument, "let in, and its first frame is not `open`");
    }
}

#[tokio::test(start_paused = true)]
async fn the_unix_socket_wants_the_token_too() {
    let house = House::closed(TOKEN).await;
    let caller = Caller::new(house.dial_as(Peer::Unix { user: 0 }).await).await;
    assert_eq!(status_of(&caller, SINK, &[]).await, Code::Unauthenticated);
}
