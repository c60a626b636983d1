//! HTTP/2 over TCP.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::{
    net::{TcpListener, TcpStream},
    task::{JoinHandle, JoinSet},
};
use tokio_util::sync::CancellationToken;
use tonic::{body::Body, service::Routes};
use tower::Service;

use crate::{
    arrival::{Authority, Line},
    error::StartError,
};

const PUBLISH: &str = "/danube.ProducerService/SendMessage";
/// How long open calls may go on after a stop.
const DRAIN: Duration = Duration::from_secs(2);
const KEEPALIVE: Duration = Duration::from_secs(20);
const ACCEPT_BACKOFF: Duration = Duration::from_millis(50);
/// What a connection may have on its way, in bytes.
const STREAM_WINDOW: u32 = 4 * 1024 * 1024;
const CONNECTION_WINDOW: u32 = 16 * 1024 * 1024;

/// Takes the address.
pub(crate) async fn bind(address: SocketAddr) -> Result<(TcpListener, SocketAddr), StartError> {
    let bound = TcpListener::bind(address).await.and_then(|listener| {
        let local = listener.local_addr()?;
        Ok((listener, local))
    });
    bound.map_err(|source| match source.kind() {
        io::ErrorKind::AddrInUse => StartError::AddressInUse { address, source },
        _ => StartError::Listen { address, source },
    })
}

/// Serves until told to stop; then open calls have a moment to end.
pub(crate) fn serve(
    listener: TcpListener,
    routes: Routes,
    stop: CancellationToken,
) -> JoinHandle<()> {
    tokio::spawn(async move {
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                accepted = listener.accept() => match accepted {
                    Ok((socket, _)) => {
                        connections.spawn(connection(socket, routes.clone(), stop.clone()));
                    }
                    Err(error) => {
                        tracing::warn!(%error, "cannot accept a connection");
                        tokio::time::sleep(ACCEPT_BACKOFF).await;
                    }
                },
                Some(_) = connections.join_next() => {}
            }
        }
        drop(listener);
        let drained = async { while connections.join_next().await.is_some() {} };
        if tokio::time::timeout(DRAIN, drained).await.is_err() {
            connections.shutdown().await;
        }
    })
}

async fn connection(socket: TcpStream, routes: Routes, stop: CancellationToken) {
    if let Err(error) = socket.set_nodelay(true) {
        tracing::debug!(%error, "cannot set TCP_NODELAY");
    }
    let service = Calls { routes, line: Arc::default() };
    let connection = hyper::server::conn::http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .keep_alive_interval(KEEPALIVE)
        .keep_alive_timeout(KEEPALIVE)
        .serve_connection(TokioIo::new(socket), service);
    let mut connection = std::pin::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection ended");
    }
}

/// The calls of one connection. hyper calls it in the order in which they arrive.
#[derive(Debug)]
struct Calls {
    routes: Routes,
    line: Arc<Line>,
}

impl hyper::service::Service<http::Request<Incoming>> for Calls {
    type Response = http::Response<Body>;
    type Error = std::convert::Infallible;
    type Future = <Routes as Service<http::Request<Incoming>>>::Future;

    fn call(&self, mut request: http::Request<Incoming>) -> Self::Future {
        if request.uri().path() == PUBLISH {
            let arrival = self.line.join();
            request.extensions_mut().insert(arrival);
        }
        if let Some(authority) = request.uri().authority().cloned() {
            request.extensions_mut().insert(Authority(authority));
        }
        self.routes.clone().call(request)
    }
}
