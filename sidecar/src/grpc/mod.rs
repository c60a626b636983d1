//! The protocol's server side: frames in, frames out, one task for each session.

mod auth;
mod convert;
mod convert_source;
mod frames;
mod limits;
mod sink;
mod source;
mod status;

use std::{pin::Pin, sync::Arc, time::Duration};

use danube_connector_proto::{FILE_DESCRIPTOR_SET, v1::source_service_server::SourceServiceServer};
use futures::Stream;
use tokio::{sync::mpsc, time::timeout};
use tokio_util::task::TaskTracker;
use tonic::{Status, service::Routes};

pub use auth::{Auth, Peer};
pub(crate) use limits::MAX_RECORD;

use crate::{connectors::Connectors, refusal::Refusal};

/// How long a stream may stay silent before its `open`.
const OPEN_TIMEOUT: Duration = Duration::from_secs(10);

/// Frames that wait for a slow reader; what they hold counts in its window.
const OUTBOUND: usize = 2;

/// What a session sends, as tonic wants it.
type Outbound<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

/// What all sessions share.
#[derive(Clone)]
pub struct Shared {
    /// The connectors.
    pub connectors: Arc<Connectors>,
    /// Who may connect.
    pub auth: Auth,
    /// Owns the sessions.
    pub tasks: TaskTracker,
}

/// The services: sinks, sources, health and reflection.
///
/// # Errors
/// When the descriptors of the protocol are broken.
pub async fn routes(shared: Shared) -> Result<Routes, tonic_reflection::server::Error> {
    let (health, health_service) = tonic_health::server::health_reporter();
    health.set_serving::<sink::SinkGrpc>().await;
    health.set_serving::<SourceServiceServer<source::SourceGrpc>>().await;
    let reflection = || {
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(FILE_DESCRIPTOR_SET)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
    };
    let sinks = sink::SinkGrpc::new(shared.clone());
    let sources = SourceServiceServer::new(source::SourceGrpc::new(shared))
        .max_decoding_message_size(limits::INBOUND_FRAME)
        .max_encoding_message_size(usize::MAX);
    Ok(Routes::new(sinks)
        .add_service(sources)
        .add_service(health_service)
        .add_service(reflection().build_v1()?)
        .add_service(reflection().build_v1alpha()?))
}

/// A stream for the response, and where its frames go in.
fn outbound<T: Send + 'static>() -> (mpsc::Sender<Result<T, Status>>, Outbound<T>) {
    let (sender, receiver) = mpsc::channel(OUTBOUND);
    (sender, Box::pin(tokio_stream::wrappers::ReceiverStream::new(receiver)))
}

/// What reading the next frame gave.
enum Inbound<T> {
    Frame(T),
    /// The connector closed its side, or the connection broke.
    Gone,
    /// The frame was larger than `limits::INBOUND_FRAME`.
    TooLarge,
}

/// Reads the next frame.
async fn read<T>(stream: &mut tonic::Streaming<T>) -> Inbound<T> {
    match stream.message().await {
        Ok(Some(frame)) => Inbound::Frame(frame),
        Ok(None) => Inbound::Gone,
        Err(status) if status.code() == tonic::Code::OutOfRange => Inbound::TooLarge,
        Err(_) => Inbound::Gone,
    }
}

/// Reads the first frame, which a connector sends at once.
async fn first<T>(stream: &mut tonic::Streaming<T>) -> Result<T, Refusal> {
    match timeout(OPEN_TIMEOUT, read(stream)).await {
        Ok(Inbound::Frame(first)) => Ok(first),
        Ok(Inbound::TooLarge) => Err(too_large()),
        Ok(Inbound::Gone) | Err(_) => Err(Refusal::OpenMissing { seconds: OPEN_TIMEOUT.as_secs() }),
    }
}

fn too_large() -> Refusal {
    Refusal::FrameTooLarge { limit: limits::INBOUND_FRAME }
}
