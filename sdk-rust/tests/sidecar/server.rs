//! The listening half.

use std::path::Path;

use danube_connector_proto::v1::{
    SinkServiceRunRequest, SinkServiceRunResponse, SourceServiceRunRequest,
    SourceServiceRunResponse,
    sink_service_server::{SinkService, SinkServiceServer},
    source_service_server::{SourceService, SourceServiceServer},
};
use tokio::{
    net::{TcpListener, UnixListener},
    runtime::Runtime,
    sync::mpsc,
};
use tokio_stream::wrappers::{ReceiverStream, TcpListenerStream, UnixListenerStream};
use tonic::{Request, Response, Status, Streaming, metadata::MetadataMap, transport::Server};

use super::{SinkScript, SourceScript, within};

type Answer<T> = Result<Response<ReceiverStream<Result<T, Status>>>, Status>;

/// What a session is made of: its metadata, the connector's frames, and where
/// ours go.
pub(crate) struct Ends<Up, Down> {
    pub(crate) metadata: MetadataMap,
    pub(crate) up: Streaming<Up>,
    pub(crate) down: mpsc::Sender<Result<Down, Status>>,
}

/// See the module. It runs in a runtime of its own, so that it can be killed
/// with everything that it holds.
pub(crate) struct ScriptedSidecar {
    pub(crate) address: String,
    sinks: mpsc::Receiver<Ends<SinkServiceRunRequest, SinkServiceRunResponse>>,
    sources: mpsc::Receiver<Ends<SourceServiceRunRequest, SourceServiceRunResponse>>,
    runtime: Option<Runtime>,
}

#[derive(Clone)]
struct Accept<Up, Down>(mpsc::Sender<Ends<Up, Down>>);

impl ScriptedSidecar {
    /// Listens on a port that the kernel chooses.
    pub(crate) async fn on_tcp() -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        listener.set_nonblocking(true).expect("a socket option");
        let address = format!("http://{}", listener.local_addr().expect("an address"));
        Self::start(address, move |router| async move {
            let listener = TcpListener::from_std(listener).expect("a listener");
            let _ = router.serve_with_incoming(TcpListenerStream::new(listener)).await;
        })
    }

    /// Listens on a Unix socket in this directory, over the remains of another.
    pub(crate) async fn on_unix(directory: &Path) -> Self {
        let path = directory.join("sidecar.sock");
        let _ = std::fs::remove_file(&path);
        let listener = std::os::unix::net::UnixListener::bind(&path).expect("a socket");
        listener.set_nonblocking(true).expect("a socket option");
        Self::start(Self::unix_address(directory), move |router| async move {
            let listener = UnixListener::from_std(listener).expect("a listener");
            let _ = router.serve_with_incoming(UnixListenerStream::new(listener)).await;
        })
    }

    /// Where a sidecar in this directory is, or will be.
    pub(crate) fn unix_address(directory: &Path) -> String {
        format!("unix://{}", directory.join("sidecar.sock").display())
    }

    fn start<F>(
        address: String,
        serve: impl FnOnce(tonic::transport::server::Router) -> F + Send + 'static,
    ) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let (sink, sinks) = mpsc::channel(8);
        let (source, sources) = mpsc::channel(8);
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime");
        runtime.spawn(async move {
            let router = Server::builder()
                .tcp_nodelay(true)
                .add_service(SinkServiceServer::new(Accept(sink)))
                .add_service(SourceServiceServer::new(Accept(source)));
            serve(router).await;
        });
        Self { address, sinks, sources, runtime: Some(runtime) }
    }

    /// The next sink session.
    pub(crate) async fn sink(&mut self) -> SinkScript {
        SinkScript::new(within(self.sinks.recv()).await.expect("the server lives")).await
    }

    /// The next source session.
    pub(crate) async fn source(&mut self) -> SourceScript {
        SourceScript::new(within(self.sources.recv()).await.expect("the server lives")).await
    }

    /// Whether a connector has dialled since the last session was taken.
    pub(crate) fn has_waiting_session(&self) -> bool {
        !self.sinks.is_empty() || !self.sources.is_empty()
    }

    /// Dies like a killed process: all connections break.
    pub(crate) fn kill(self) {}
}

impl Drop for ScriptedSidecar {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl<Up, Down: Send + 'static> Accept<Up, Down> {
    async fn accept(&self, request: Request<Streaming<Up>>) -> Answer<Down> {
        let (down, frames) = mpsc::channel(64);
        let metadata = request.metadata().clone();
        let ends = Ends { metadata, up: request.into_inner(), down };
        self.0.send(ends).await.map_err(|_| Status::unavailable("the test is over"))?;
        Ok(Response::new(ReceiverStream::new(frames)))
    }
}

#[tonic::async_trait]
impl SinkService for Accept<SinkServiceRunRequest, SinkServiceRunResponse> {
    type RunStream = ReceiverStream<Result<SinkServiceRunResponse, Status>>;

    async fn run(
        &self,
        request: Request<Streaming<SinkServiceRunRequest>>,
    ) -> Answer<SinkServiceRunResponse> {
        self.accept(request).await
    }
}

#[tonic::async_trait]
impl SourceService for Accept<SourceServiceRunRequest, SourceServiceRunResponse> {
    type RunStream = ReceiverStream<Result<SourceServiceRunResponse, Status>>;

    async fn run(
        &self,
        request: Request<Streaming<SourceServiceRunRequest>>,
    ) -> Answer<SourceServiceRunResponse> {
        self.accept(request).await
    }
}
