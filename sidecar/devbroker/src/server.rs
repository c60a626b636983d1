//! HTTP/2 over TCP.

use std::{io, net::SocketAddr, time::Duration};

use hyper::{body::Incoming, rt::Executor};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tonic::{body::Body, service::Routes};
use tower::Service;

use crate::{
    arrival::{Authority, Line},
    error::StartError,
};

const PUBLISH: &str = "/danube.ProducerService/SendMessage";
const KEEPALIVE: Duration = Duration::from_secs(20);
const ACCEPT_BACKOFF: Duration = Duration::from_millis(50);
/// What may be on its way to the broker, in bytes.
const STREAM_WINDOW: u32 = 4 * 1024 * 1024;
const CONNECTION_WINDOW: u32 = 16 * 1024 * 1024;

/// All tasks of the broker, and how they are told to end.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tasks {
    tracker: TaskTracker,
    /// Take nothing new, finish what there is.
    pub(crate) stop: CancellationToken,
    /// End now.
    kill: CancellationToken,
}

impl Tasks {
    /// Runs a task until it ends or all are killed.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let kill = self.kill.clone();
        self.tracker.spawn(async move {
            kill.run_until_cancelled(task).await;
        });
    }

    /// Stops; what has not ended after `patience` is killed.
    pub(crate) async fn stop(&self, patience: Duration) {
        self.stop.cancel();
        self.tracker.close();
        if tokio::time::timeout(patience, self.tracker.wait()).await.is_err() {
            self.kill.cancel();
            self.tracker.wait().await;
        }
    }

    /// Ends all without waiting for them.
    pub(crate) fn kill(&self) {
        self.stop.cancel();
        self.kill.cancel();
    }
}

impl<F> Executor<F> for Tasks
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, task: F) {
        self.spawn(task);
    }
}

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

/// Accepts connections until told to stop.
pub(crate) async fn serve(listener: TcpListener, routes: Routes, tasks: Tasks) {
    while let Some(accepted) = tasks.stop.run_until_cancelled(listener.accept()).await {
        match accepted {
            Ok((socket, _)) => tasks.spawn(connection(socket, routes.clone(), tasks.clone())),
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(ACCEPT_BACKOFF).await;
            }
        }
    }
}

async fn connection(socket: TcpStream, routes: Routes, tasks: Tasks) {
    if let Err(error) = socket.set_nodelay(true) {
        tracing::debug!(%error, "cannot set TCP_NODELAY");
    }
    let service = Calls { routes, line: Line::default() };
    let connection = hyper::server::conn::http2::Builder::new(tasks.clone())
        .timer(TokioTimer::new())
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .keep_alive_interval(KEEPALIVE)
        .keep_alive_timeout(KEEPALIVE)
        .serve_connection(TokioIo::new(socket), service);
    let mut connection = std::pin::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = tasks.stop.cancelled() => {
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
    line: Line,
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
