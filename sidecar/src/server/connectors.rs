//! The port of connectors: gRPC, so HTTP/2 and nothing else.

use std::{
    io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use http::Request;
use hyper::server::conn::http2;
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::{TcpListener, UnixListener},
    time::timeout,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{debug, warn};

use super::preface::{self, AfterPreface, Spoken};
use crate::{
    gate::{Crowd, Peer, Place, Rarely},
    grpc::Entrance,
};

/// How often an idle connection is asked whether it lives, and how long it may
/// take to answer.
const KEEPALIVE: (Duration, Duration) = (Duration::from_secs(20), Duration::from_secs(20));

/// Bytes in flight on one stream and on one connection before we have read them.
const WINDOW: u32 = 1 << 20;

/// Streams of a connection at a time.
const STREAMS: u32 = 100;

/// Headers of a request, as gRPC bounds metadata.
const HEADERS: u32 = 8 << 10;

/// How long a connection that is asked to end may take.
const FAREWELL: Duration = Duration::from_secs(2);

/// Serves connections.
#[derive(Clone)]
pub struct Acceptor {
    entrance: Entrance,
    stop: CancellationToken,
    tasks: TaskTracker,
    /// Complains of connections that do not speak gRPC.
    strange: Arc<Rarely>,
}

impl Acceptor {
    /// Lets requests in by `entrance`, until `stop`: then no more connections are
    /// accepted, and each ends by itself, or with `tasks`, which owns them.
    pub fn new(entrance: Entrance, stop: CancellationToken, tasks: TaskTracker) -> Self {
        Self { entrance, stop, tasks, strange: Arc::default() }
    }

    /// Accepts on TCP.
    pub async fn tcp(self, listener: TcpListener) {
        let crowd = Crowd::default();
        let next = async || {
            let place = crowd.enter().await.map_err(io::Error::other)?;
            let (stream, peer) = listener.accept().await?;
            if let Err(error) = stream.set_nodelay(true) {
                debug!(%peer, %error, "cannot set TCP_NODELAY");
            }
            Ok((stream, Peer::Tcp(peer), place))
        };
        while let Some(accepted) = self.stop.run_until_cancelled(next()).await {
            match accepted {
                Ok((stream, peer, place)) => self.serve(stream, peer, place),
                Err(error) => pause_after(&error).await,
            }
        }
    }

    /// Accepts on a Unix socket.
    pub async fn unix(self, listener: UnixListener) {
        let crowd = Crowd::default();
        let next = async || {
            let place = crowd.enter().await.map_err(io::Error::other)?;
            let (stream, _) = listener.accept().await?;
            let peer = Peer::Unix { user: stream.peer_cred()?.uid() };
            Ok((stream, peer, place))
        };
        while let Some(accepted) = self.stop.run_until_cancelled(next()).await {
            match accepted {
                Ok((stream, peer, place)) => self.serve(stream, peer, place),
                Err(error) => pause_after(&error).await,
            }
        }
    }

    /// Serves a connection that somebody made.
    pub fn serve<S>(&self, stream: S, peer: Peer, place: Place)
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let connection = Connection {
            entrance: self.entrance.clone(),
            peer,
            place: Arc::new(place),
            strange: Arc::clone(&self.strange),
        };
        let stop = self.stop.clone();
        self.tasks.spawn(async move { connection.serve(stream, stop).await });
    }
}

/// Out of file handles, mostly: accepting again at once would only spin.
pub(super) async fn pause_after(error: &io::Error) {
    warn!(%error, "cannot accept a connection; trying again");
    tokio::time::sleep(Duration::from_millis(100)).await;
}

struct Connection {
    entrance: Entrance,
    peer: Peer,
    place: Arc<Place>,
    strange: Arc<Rarely>,
}

impl Connection {
    async fn serve<S>(self, mut stream: S, stop: CancellationToken)
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let spoken = tokio::select! {
            spoken = preface::listen(&mut stream) => spoken,
            () = self.place.overstayed() => return self.complain("it said nothing in time"),
            () = stop.cancelled() => return,
        };
        match spoken {
            Ok(Spoken::Http2) => self.http2(AfterPreface::new(stream), stop).await,
            Ok(Spoken::Tls) => self.complain("it spoke TLS"),
            Ok(Spoken::Other) => {
                self.complain("its first bytes are not HTTP/2's");
                explain(stream, self.entrance.http()).await;
            }
            Ok(Spoken::Nothing) | Err(_) => debug!(peer = %self.peer, "a connection said nothing"),
        }
    }

    async fn http2<S>(&self, stream: S, stop: CancellationToken)
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let spoke_grpc = Arc::new(AtomicBool::new(false));
        let service = tower::service_fn({
            let (entrance, peer) = (self.entrance.clone(), self.peer);
            let (place, speaks_grpc) = (Arc::clone(&self.place), Arc::clone(&spoke_grpc));
            move |request: Request<hyper::body::Incoming>| {
                speaks_grpc.fetch_or(Entrance::is_grpc(&request), Ordering::Relaxed);
                let (entrance, place) = (entrance.clone(), Arc::clone(&place));
                async move { entrance.answer(request, peer, &place).await }
            }
        });
        let connection =
            builder().serve_connection(TokioIo::new(stream), TowerToHyperService::new(service));
        tokio::pin!(connection);
        let served = tokio::select! {
            served = connection.as_mut() => served,
            () = self.place.overstayed() => {
                debug!(peer = %self.peer, "no request was let in: the connection ends");
                connection.as_mut().graceful_shutdown();
                timeout(FAREWELL, connection).await.unwrap_or(Ok(()))
            }
            () = stop.cancelled() => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        match served {
            Ok(()) => {}
            // Kubelet resets many connections of its probes; sessions tell of their own end.
            Err(error) if spoke_grpc.load(Ordering::Relaxed) => {
                debug!(peer = %self.peer, %error, "a connection broke off");
            }
            Err(error) => self.complain(&error.to_string()),
        }
    }

    fn complain(&self, problem: &str) {
        let Some(held_back) = self.strange.now() else { return };
        warn!(
            peer = %self.peer, problem, held_back,
            "a connection broke off or did not speak gRPC: connectors dial this port with HTTP/2 \
             (plaintext gRPC), people use http://{}", self.entrance.http()
        );
    }
}

fn builder() -> http2::Builder<TokioExecutor> {
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .keep_alive_interval(KEEPALIVE.0)
        .keep_alive_timeout(KEEPALIVE.1)
        .initial_stream_window_size(WINDOW)
        .initial_connection_window_size(WINDOW)
        .max_concurrent_streams(STREAMS)
        .max_header_list_size(HEADERS);
    builder
}

/// What a browser or curl reads on the gRPC port. What they sent is not looked at.
async fn explain<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S, http: SocketAddr) {
    let text = wrong_port(http);
    let answer = format!(
        "HTTP/1.1 400 Bad Request\r\ncontent-type: text/plain\r\ncontent-length: {}\r\n\
         connection: close\r\n\r\n{text}",
        text.len()
    );
    let farewell = async {
        stream.write_all(answer.as_bytes()).await?;
        stream.shutdown().await?;
        // What is not read when the connection closes resets it, and the answer is lost.
        let mut sink = [0; 1024];
        while stream.read(&mut sink).await? > 0 {}
        io::Result::Ok(())
    };
    // Nobody reads it: then nothing is lost.
    let _ = timeout(FAREWELL, farewell).await;
}

/// Where people go who dialled the port of connectors.
pub(crate) fn wrong_port(http: SocketAddr) -> String {
    format!(
        "This is the Danube sidecar's gRPC port, for connectors.\n\
         Health, metrics and status are on http://{http}/\n"
    )
}
