//! A sidecar that does what a case wants: it takes streams and hands them over.
//!
//! Frames for the connector go out as bytes, so that a case can also send what this
//! version of the protocol does not know.

use std::{
    convert::Infallible,
    io,
    marker::PhantomData,
    path::Path,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::{BufMut as _, Bytes};
use danube_connector_proto::v1;
use futures::{FutureExt as _, future::BoxFuture};
use prost::Message;
use tokio::{
    net::{TcpListener, UnixListener},
    sync::mpsc,
    task::JoinHandle,
};
use tokio_stream::{
    Stream,
    wrappers::{ReceiverStream, TcpListenerStream, UnixListenerStream},
};
use tonic::{
    Request, Response, Status, Streaming,
    body::Body,
    codec::{Codec, EncodeBuf, Encoder},
    server::{Grpc, NamedService, StreamingService},
    service::Routes,
    transport::Server,
};
use tonic_prost::ProstDecoder;
use tower::Service;

/// Streams that may wait for a case to take them, and frames for a connector to read.
const WAITING: usize = 64;
/// Larger than any frame that a connector may send.
const INBOUND: usize = 64 << 20;

/// One of the two protocols.
pub trait Protocol: Clone + Send + Sync + 'static {
    /// Its gRPC service.
    const SERVICE: &'static str;
    /// Frames from the connector.
    type Up: Message + Default + Send + 'static;
    /// Frames to the connector.
    type Down: Message;
}

/// The sink protocol.
#[derive(Clone, Copy)]
pub struct Sinks;

/// The source protocol.
#[derive(Clone, Copy)]
pub struct Sources;

impl Protocol for Sinks {
    const SERVICE: &'static str = v1::sink_service_server::SERVICE_NAME;
    type Up = v1::SinkServiceRunRequest;
    type Down = v1::SinkServiceRunResponse;
}

impl Protocol for Sources {
    const SERVICE: &'static str = v1::source_service_server::SERVICE_NAME;
    type Up = v1::SourceServiceRunRequest;
    type Down = v1::SourceServiceRunResponse;
}

/// A stream that a connector has opened.
pub struct Call<P: Protocol> {
    /// Its frames.
    pub frames: Streaming<P::Up>,
    /// Where frames for it go, or how its stream ends.
    pub answers: mpsc::Sender<Result<Bytes, Status>>,
}

/// Where a connector dials.
pub struct Stage {
    /// As in DANUBE_SIDECAR_ADDRESS.
    pub address: String,
    /// Streams of sinks.
    pub sinks: mpsc::Receiver<Call<Sinks>>,
    /// Streams of sources.
    pub sources: mpsc::Receiver<Call<Sources>>,
    server: JoinHandle<()>,
}

impl Stage {
    /// Listens: on a socket in this folder, or else on a port of the loopback.
    pub async fn open(socket_in: Option<&Path>) -> io::Result<Self> {
        let (to_sinks, sinks) = mpsc::channel(WAITING);
        let (to_sources, sources) = mpsc::channel(WAITING);
        let routes =
            Routes::new(Door::<Sinks>::new(to_sinks)).add_service(Door::<Sources>::new(to_sources));
        let router = Server::builder().add_routes(routes);
        let (address, serving): (String, BoxFuture<'static, _>) = match socket_in {
            Some(folder) => {
                let path = folder.join("sidecar.sock");
                let listener = UnixListener::bind(&path)?;
                let serving = router.serve_with_incoming(UnixListenerStream::new(listener));
                (format!("unix://{}", path.display()), serving.boxed())
            }
            None => {
                let listener = TcpListener::bind("127.0.0.1:0").await?;
                let address = format!("http://{}", listener.local_addr()?);
                let serving = router.serve_with_incoming(TcpListenerStream::new(listener));
                (address, serving.boxed())
            }
        };
        let server = tokio::spawn(async move {
            if let Err(error) = serving.await {
                tracing::error!(%error, "the stage cannot serve");
            }
        });
        Ok(Self { address, sinks, sources, server })
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        self.server.abort();
    }
}

/// Takes the streams of one protocol.
#[derive(Clone)]
struct Door<P: Protocol> {
    calls: mpsc::Sender<Call<P>>,
}

impl<P: Protocol> Door<P> {
    fn new(calls: mpsc::Sender<Call<P>>) -> Self {
        Self { calls }
    }
}

impl<P: Protocol> NamedService for Door<P> {
    const NAME: &'static str = P::SERVICE;
}

impl<P: Protocol> Service<http::Request<Body>> for Door<P> {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let door = self.clone();
        Box::pin(async move {
            if request.uri().path() != format!("/{}/Run", P::SERVICE) {
                return Ok(Status::unimplemented("each service has one method: Run").into_http());
            }
            let mut grpc = Grpc::new(Raw::<P>(PhantomData))
                .max_decoding_message_size(INBOUND)
                .max_encoding_message_size(usize::MAX);
            Ok(grpc.streaming(door, request).await)
        })
    }
}

impl<P: Protocol> StreamingService<P::Up> for Door<P> {
    type Response = Bytes;
    type ResponseStream = Pin<Box<dyn Stream<Item = Result<Bytes, Status>> + Send>>;
    type Future = BoxFuture<'static, Result<Response<Self::ResponseStream>, Status>>;

    fn call(&mut self, request: Request<Streaming<P::Up>>) -> Self::Future {
        let calls = self.calls.clone();
        Box::pin(async move {
            let (answers, frames) = mpsc::channel(WAITING);
            let call = Call { frames: request.into_inner(), answers };
            calls.send(call).await.map_err(|_| Status::unavailable("the case is over"))?;
            let stream: Self::ResponseStream = Box::pin(ReceiverStream::new(frames));
            Ok(Response::new(stream))
        })
    }
}

/// Reads frames, and writes bytes as they are.
struct Raw<P>(PhantomData<P>);

/// The half that writes.
struct Copier;

impl<P: Protocol> Codec for Raw<P> {
    type Encode = Bytes;
    type Decode = P::Up;
    type Encoder = Copier;
    type Decoder = ProstDecoder<P::Up>;

    fn encoder(&mut self) -> Self::Encoder {
        Copier
    }

    fn decoder(&mut self) -> Self::Decoder {
        ProstDecoder::default()
    }
}

impl Encoder for Copier {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, item: Bytes, into: &mut EncodeBuf<'_>) -> Result<(), Status> {
        into.put(item);
        Ok(())
    }
}
