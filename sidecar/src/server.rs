//! The listeners: gRPC on TCP and on a Unix socket.
//!
//! tonic's own server ignores `tcp_nodelay` for foreign listeners and tells
//! nothing about connections that are not gRPC; this accept loop does both.

use std::{
    fs, io,
    net::SocketAddr,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use http::{Request, Response, header};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto::Builder,
    service::TowerToHyperService,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, UnixListener},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tonic::{body::Body, service::Routes};
use tower::ServiceExt as _;
use tracing::{debug, warn};

use crate::grpc::Peer;

/// How often an idle connection is asked whether it lives, and how long it may
/// take to answer.
const KEEPALIVE: (Duration, Duration) = (Duration::from_secs(20), Duration::from_secs(20));

/// Bytes in flight on one stream and on one connection before the peer must read.
const WINDOWS: (u32, u32) = (1 << 20, 4 << 20);

/// Why a listener cannot start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ListenError {
    /// A TCP address.
    #[error("cannot listen on {address} for {purpose}: {source}\n  {}", remedy(source, flag))]
    Tcp {
        /// The address.
        address: SocketAddr,
        /// What it is for.
        purpose: &'static str,
        /// The flag that chooses another.
        flag: &'static str,
        /// Why.
        source: io::Error,
    },
    /// A Unix socket.
    #[error(
        "cannot listen on the Unix socket {}: {source}\n  is another sidecar running, or the \
         folder missing? choose another with --unix-socket PATH", path.display()
    )]
    Unix {
        /// The path.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

fn remedy(source: &io::Error, flag: &str) -> String {
    match source.kind() {
        io::ErrorKind::AddrInUse => format!(
            "another program has this port (another sidecar?): stop it, or choose another with \
             {flag} HOST:PORT"
        ),
        _ => format!("choose another address with {flag} HOST:PORT"),
    }
}

/// Binds a TCP address.
///
/// # Errors
/// With the address, what it is for, and how to choose another.
pub async fn bind(
    address: SocketAddr,
    purpose: &'static str,
    flag: &'static str,
) -> Result<TcpListener, ListenError> {
    let bound = TcpListener::bind(address).await;
    bound.map_err(|source| ListenError::Tcp { address, purpose, flag, source })
}

/// Binds a Unix socket for this user only; a socket that nobody serves any more is
/// replaced.
///
/// # Errors
/// With the path.
pub async fn bind_unix(path: &Path) -> Result<UnixListener, ListenError> {
    let fail = |source| ListenError::Unix { path: path.to_owned(), source };
    let stale = path.exists() && tokio::net::UnixStream::connect(path).await.is_err();
    if stale {
        fs::remove_file(path).map_err(fail)?;
    }
    let listener = UnixListener::bind(path).map_err(fail)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).map_err(fail)?;
    Ok(listener)
}

/// Serves connections until `stop`; each ends by itself then, or with `tasks`.
#[derive(Clone)]
pub struct Acceptor {
    /// The services.
    pub routes: Routes,
    /// Where people who dial this port with HTTP want to go.
    pub http: SocketAddr,
    /// Ends accepting, and asks connections to end.
    pub stop: CancellationToken,
    /// Owns the connections.
    pub tasks: TaskTracker,
}

impl Acceptor {
    /// Accepts on TCP.
    pub async fn tcp(self, listener: TcpListener) {
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                () = self.stop.cancelled() => return,
            };
            match accepted {
                Ok((stream, peer)) => {
                    if let Err(error) = stream.set_nodelay(true) {
                        debug!(%peer, %error, "cannot set TCP_NODELAY");
                    }
                    self.serve(stream, Peer::Tcp(peer));
                }
                Err(error) => self.pause_after(&error).await,
            }
        }
    }

    /// Accepts on a Unix socket.
    pub async fn unix(self, listener: UnixListener) {
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                () = self.stop.cancelled() => return,
            };
            match accepted {
                Ok((stream, _)) => match stream.peer_cred() {
                    Ok(peer) => self.serve(stream, Peer::Unix { user: peer.uid() }),
                    Err(error) => debug!(%error, "cannot tell who dialled the Unix socket"),
                },
                Err(error) => self.pause_after(&error).await,
            }
        }
    }

    /// Out of file handles, mostly: accepting again at once would only spin.
    async fn pause_after(&self, error: &io::Error) {
        warn!(%error, "cannot accept a connection; trying again");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }

    fn serve<S>(&self, stream: S, peer: Peer)
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let (routes, stop, http) = (self.routes.clone(), self.stop.clone(), self.http);
        self.tasks.spawn(async move {
            let origin = peer.clone();
            let spoke_grpc = Arc::new(AtomicBool::new(false));
            let speaks_grpc = Arc::clone(&spoke_grpc);
            let service = tower::service_fn(move |mut request: Request<hyper::body::Incoming>| {
                let routes = routes.clone();
                request.extensions_mut().insert(origin.clone());
                let grpc = is_grpc(&request);
                speaks_grpc.fetch_or(grpc, Ordering::Relaxed);
                async move {
                    if !grpc {
                        return Ok(not_grpc(http));
                    }
                    routes.oneshot(request.map(Body::new)).await
                }
            });
            let builder = builder();
            let connection =
                builder.serve_connection(TokioIo::new(stream), TowerToHyperService::new(service));
            tokio::pin!(connection);
            let served = tokio::select! {
                served = connection.as_mut() => served,
                () = stop.cancelled() => {
                    connection.as_mut().graceful_shutdown();
                    connection.await
                }
            };
            if let Err(error) = served {
                let error = error.to_string();
                if spoke_grpc.load(Ordering::Relaxed) {
                    // Kubelet resets many connections of its probes; sessions tell of their own end.
                    debug!(?peer, error, "a connection broke off");
                } else {
                    warn!(
                        ?peer,
                        error,
                        "a connection broke off or did not speak gRPC: connectors dial this port \
                         with HTTP/2 (plaintext gRPC), people use http://{http}"
                    );
                }
            }
        });
    }
}

fn builder() -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(KEEPALIVE.0)
        .keep_alive_timeout(KEEPALIVE.1)
        .initial_stream_window_size(WINDOWS.0)
        .initial_connection_window_size(WINDOWS.1);
    builder.http1().timer(TokioTimer::new()).header_read_timeout(KEEPALIVE.1);
    builder
}

fn is_grpc<B>(request: &Request<B>) -> bool {
    let kind = request.headers().get(header::CONTENT_TYPE);
    kind.is_some_and(|kind| kind.as_bytes().starts_with(b"application/grpc"))
}

/// What a browser or curl reads on the gRPC port.
fn not_grpc(http: SocketAddr) -> Response<Body> {
    let text = format!(
        "This is the Danube sidecar's gRPC port, for connectors.\n\
         Health, metrics and status are on http://{http}/\n"
    );
    let mut response = Response::new(Body::new(text));
    *response.status_mut() = http::StatusCode::BAD_REQUEST;
    response
}
