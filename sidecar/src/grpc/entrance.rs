//! What becomes of a request: who makes it is looked at before its body is read.
//!
//! `grpc.health.v1.Health/Check` alone is answered without a token, because a kubelet's
//! probe has none: it says whether we serve, to a caller who could see that by
//! connecting. What it may send is small, and soon over.

use std::{convert::Infallible, net::SocketAddr, sync::Arc, time::Duration};

use danube_connector_proto::v1::{sink_service_server, source_service_server};
use http::{Request, Response, StatusCode, header};
use hyper::body::Incoming;
use tokio::{sync::Semaphore, time::timeout};
use tonic::{Status, body::Body, service::Routes};
use tower::ServiceExt as _;

use super::{
    limits,
    opening::{Bounds, Opening},
    status::status,
};
use crate::{
    gate::{Auth, Hosts, Peer, Place},
    refusal::Refusal,
    server::wrong_port,
};

/// The one method that wants no token.
const CHECK: &str = "/grpc.health.v1.Health/Check";

/// How long a call of `Check` may take.
const CHECK_TIME: Duration = Duration::from_secs(5);

/// How long the requests of other services than sinks and sources may take; answers
/// (`Watch`) may take longer.
const REQUEST_TIME: Duration = Duration::from_secs(60);

/// Requests whose first message is not whole, at a time: those of sessions, and others.
const AT_ONCE: usize = 128;

/// The way from a connection to the services.
#[derive(Clone)]
pub struct Entrance {
    routes: Routes,
    auth: Auth,
    hosts: Hosts,
    http: SocketAddr,
    sessions: Bounds,
    others: Bounds,
}

impl Entrance {
    /// To these services, for callers that have the token and mean us. People who dial
    /// this port belong to `http`.
    pub fn new(routes: Routes, auth: Auth, hosts: Hosts, http: SocketAddr) -> Self {
        let bounds =
            |first, within| Bounds { first, within, at_once: Arc::new(Semaphore::new(AT_ONCE)) };
        let sessions = bounds(limits::OPEN_FRAME, None);
        let others = bounds(limits::SMALL_REQUEST, Some(REQUEST_TIME));
        Self { routes, auth, hosts, http, sessions, others }
    }

    /// Where health, metrics and status are.
    pub fn http(&self) -> SocketAddr {
        self.http
    }

    /// Whether the request says that it is a call.
    pub fn is_grpc<B>(request: &Request<B>) -> bool {
        let kind = request.headers().get(header::CONTENT_TYPE);
        kind.is_some_and(|kind| kind.as_bytes().starts_with(b"application/grpc"))
    }

    /// The answer to a request.
    ///
    /// # Errors
    /// Never.
    pub async fn answer(
        self,
        mut request: Request<Incoming>,
        peer: Peer,
        place: &Place,
    ) -> Result<Response<Body>, Infallible> {
        if !Self::is_grpc(&request) {
            return Ok(not_grpc(self.http));
        }
        if let Err(refusal) = self.let_in(&request, peer, place).await {
            return Ok(status(&refusal).into_http());
        }
        request.extensions_mut().insert(peer);
        let path = request.uri().path();
        if path == CHECK {
            let call = self.routes.oneshot(bounded(request, &self.others));
            let late = || Ok(Status::deadline_exceeded("the request took too long").into_http());
            return timeout(CHECK_TIME, call).await.unwrap_or_else(|_| late());
        }
        let bounds = if is_session(path) { &self.sessions } else { &self.others };
        let request = bounded(request, bounds);
        self.routes.oneshot(request).await
    }

    /// Who calls, under which name, and whether it may.
    async fn let_in(
        &self,
        request: &Request<Incoming>,
        peer: Peer,
        place: &Place,
    ) -> Result<(), Refusal> {
        // No browser reaches a Unix socket, and each gRPC library calls it by another name.
        if let Peer::Tcp(_) = peer {
            self.hosts.check(request.uri(), request.headers())?;
        }
        if request.uri().path() != CHECK {
            self.auth.check(Some(peer), request.headers().get(header::AUTHORIZATION)).await?;
            place.known();
        }
        Ok(())
    }
}

fn bounded(request: Request<Incoming>, bounds: &Bounds) -> Request<Body> {
    request.map(|body| Body::new(Opening::new(body, bounds)))
}

fn is_session(path: &str) -> bool {
    let service = path.strip_prefix('/').and_then(|path| path.strip_suffix("/Run"));
    [sink_service_server::SERVICE_NAME, source_service_server::SERVICE_NAME]
        .map(Some)
        .contains(&service)
}

fn not_grpc(http: SocketAddr) -> Response<Body> {
    let mut response = Response::new(Body::new(wrong_port(http)));
    *response.status_mut() = StatusCode::BAD_REQUEST;
    response
}
