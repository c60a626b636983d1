//! The port of people, probes and Prometheus: short answers, and connections that end.

use std::{convert::Infallible, io, sync::Arc, time::Duration};

use axum::{
    Router,
    body::Body,
    http::{Request, StatusCode},
    response::{IntoResponse as _, Response},
};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto::Builder,
    service::TowerToHyperService,
};
use tokio::{
    net::{TcpListener, TcpStream},
    time::{sleep, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tower::ServiceExt as _;
use tracing::debug;

use super::connectors::pause_after;
use crate::{
    admin,
    gate::{Crowd, Hosts, Peer, Place},
};

/// How long a request may take to be read and answered.
const PATIENCE: Duration = Duration::from_secs(60);

/// How long a connection is kept; then the request that runs is its last.
const LIFETIME: Duration = Duration::from_secs(120);

/// How long the head of a request may take.
const HEAD: Duration = Duration::from_secs(10);

/// Largest head of a request.
const HEADERS: u32 = 16 << 10;

/// Bytes in flight before we have read them, of a caller with
/// HTTP/2: a connector that dialled this port by mistake.
const WINDOW: u32 = 64 << 10;

/// Streams of such a caller at a time.
const STREAMS: u32 = 8;

/// Serves pages until `stop`; connections end by themselves then, or with `tasks`.
pub struct Pages {
    /// The pages.
    pub router: Router,
    /// Under which names we may be called.
    pub hosts: Hosts,
    /// Ends accepting, and asks connections to end.
    pub stop: CancellationToken,
    /// Owns the connections.
    pub tasks: TaskTracker,
}

impl Pages {
    /// Accepts on TCP.
    pub async fn serve(self, listener: TcpListener) {
        let crowd = Crowd::default();
        let next = async || {
            let place = crowd.enter().await.map_err(io::Error::other)?;
            let (stream, peer) = listener.accept().await?;
            Ok((stream, Peer::Tcp(peer), place))
        };
        while let Some(accepted) = self.stop.run_until_cancelled(next()).await {
            match accepted {
                Ok((stream, peer, place)) => {
                    let (desk, stop) = (self.desk(peer, place), self.stop.clone());
                    self.tasks.spawn(async move { connection(stream, desk, stop).await });
                }
                Err(error) => pause_after(&error).await,
            }
        }
    }

    fn desk(&self, peer: Peer, place: Place) -> Desk {
        let (router, hosts) = (self.router.clone(), self.hosts.clone());
        Desk { router, hosts, peer, place: Arc::new(place) }
    }
}

/// What the requests of one connection need.
#[derive(Clone)]
struct Desk {
    router: Router,
    hosts: Hosts,
    peer: Peer,
    place: Arc<Place>,
}

impl Desk {
    async fn answer(
        self,
        mut request: Request<hyper::body::Incoming>,
    ) -> Result<Response, Infallible> {
        if let Err(foreign) = self.hosts.check(request.uri(), request.headers()) {
            return Ok(admin::foreign_host(foreign));
        }
        self.place.known();
        request.extensions_mut().insert(self.peer);
        match timeout(PATIENCE, self.router.oneshot(request.map(Body::new))).await {
            Ok(answer) => answer,
            Err(_) => {
                Ok((StatusCode::SERVICE_UNAVAILABLE, "not answered in time\n").into_response())
            }
        }
    }
}

async fn connection(stream: TcpStream, desk: Desk, stop: CancellationToken) {
    let (peer, place) = (desk.peer, Arc::clone(&desk.place));
    let service = tower::service_fn(move |request| desk.clone().answer(request));
    let builder = builder();
    let connection =
        builder.serve_connection(TokioIo::new(stream), TowerToHyperService::new(service));
    tokio::pin!(connection);
    let served = tokio::select! {
        served = connection.as_mut() => served,
        () = ended(&place, &stop) => {
            connection.as_mut().graceful_shutdown();
            timeout(PATIENCE, connection).await.unwrap_or(Ok(()))
        }
    };
    if let Err(error) = served {
        debug!(%peer, error, "a connection broke off");
    }
}

/// When the connection is to end.
async fn ended(place: &Place, stop: &CancellationToken) {
    tokio::select! {
        () = place.overstayed() => {}
        () = stop.cancelled() => {}
        () = sleep(LIFETIME) => {}
    }
}

fn builder() -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        .max_buf_size(HEADERS as usize);
    builder
        .http2()
        .timer(TokioTimer::new())
        .initial_stream_window_size(WINDOW)
        .initial_connection_window_size(WINDOW)
        .max_concurrent_streams(STREAMS)
        .max_header_list_size(HEADERS);
    builder
}
