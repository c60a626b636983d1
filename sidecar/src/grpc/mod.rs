//! The protocol's server side: frames in, frames out, one task for each session.

mod convert;
mod convert_source;
mod entrance;
mod frames;
mod limits;
mod opening;
mod positions;
mod sink;
mod source;
mod status;

use std::{pin::Pin, sync::Arc, time::Duration};

use danube_connector_proto::{FILE_DESCRIPTOR_SET, v1::source_service_server::SourceServiceServer};
use futures::Stream;
use tokio::{sync::mpsc, time::timeout};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tonic::{Status, service::Routes};
use tonic_health::ServingStatus;

pub use entrance::Entrance;
pub(crate) use limits::MAX_RECORD;

use crate::{
    connectors::Connectors,
    gate::Auth,
    refusal::Refusal,
    vitals::{Part, Vitals},
};

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
    /// Whose callers are trusted with secrets.
    pub auth: Auth,
    /// Owns the sessions.
    pub tasks: TaskTracker,
    /// Sees their panics.
    pub vitals: Vitals,
    /// Ends what is neither a session nor asked by one.
    pub stop: CancellationToken,
}

impl Shared {
    /// Runs a session.
    fn spawn(&self, kind: &'static str, session: impl Future<Output = ()> + Send + 'static) {
        let vitals = self.vitals.clone();
        self.tasks.spawn(async move {
            vitals.watch(Part::Session, kind, session).await;
        });
    }
}

/// The services: sinks, sources, health and reflection.
///
/// # Errors
/// When the descriptors of the protocol are broken.
pub async fn routes(shared: Shared) -> Result<Routes, tonic_reflection::server::Error> {
    let (health, health_service) = tonic_health::server::health_reporter();
    health.set_serving::<sink::SinkGrpc>().await;
    health.set_serving::<SourceServiceServer<source::SourceGrpc>>().await;
    let (vitals, stop, alive) = (shared.vitals.clone(), shared.stop.clone(), health.clone());
    shared.tasks.spawn(async move {
        tokio::select! {
            // The overall service, which liveness probes ask for.
            () = vitals.died() => alive.set_service_status("", ServingStatus::NotServing).await,
            () = stop.cancelled() => {}
        }
    });
    let health_service = health_service.max_decoding_message_size(limits::SMALL_REQUEST);
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
        .add_service(reflection().build_v1()?.max_decoding_message_size(limits::SMALL_REQUEST))
        .add_service(
            reflection().build_v1alpha()?.max_decoding_message_size(limits::SMALL_REQUEST),
        ))
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
    /// The frame came whole, and is none of the protocol.
    Malformed {
        problem: String,
    },
}

/// Reads the next frame.
async fn read<T>(stream: &mut tonic::Streaming<T>) -> Inbound<T> {
    match stream.message().await {
        Ok(Some(frame)) => Inbound::Frame(frame),
        Ok(None) => Inbound::Gone,
        Err(status) if status.code() == tonic::Code::OutOfRange => Inbound::TooLarge,
        Err(status) if is_malformed(&status) => {
            Inbound::Malformed { problem: status.message().to_owned() }
        }
        Err(_) => Inbound::Gone,
    }
}

/// Whether the decoder refused a frame. A stream that breaks has its cause behind the
/// status, or ends within a frame.
fn is_malformed(status: &Status) -> bool {
    let broken = std::error::Error::source(status).is_some();
    status.code() == tonic::Code::Internal && !broken && !status.message().contains(CUT_OFF)
}

/// tonic's word for a stream that ended within a frame.
const CUT_OFF: &str = "Unexpected EOF";

/// Reads the first frame, which a connector sends at once.
async fn first<T>(stream: &mut tonic::Streaming<T>) -> Result<T, Refusal> {
    match timeout(OPEN_TIMEOUT, read(stream)).await {
        Ok(Inbound::Frame(first)) => Ok(first),
        Ok(Inbound::TooLarge) => Err(Refusal::FrameTooLarge { limit: limits::OPEN_FRAME }),
        Ok(Inbound::Malformed { problem }) => Err(Refusal::MalformedFrame { problem }),
        Ok(Inbound::Gone) | Err(_) => Err(Refusal::OpenMissing { seconds: OPEN_TIMEOUT.as_secs() }),
    }
}

fn too_large() -> Refusal {
    Refusal::FrameTooLarge { limit: limits::INBOUND_FRAME }
}

#[cfg(test)]
mod tests {
    use danube_connector_proto::v1::SinkServiceRunRequest;
    use tonic::{Streaming, codec::Codec as _};

    use super::*;

    /// What is read of these bytes.
    async fn first_of(bytes: &str) -> Inbound<SinkServiceRunRequest> {
        let decoder = frames::SinkCodec.decoder();
        read(&mut Streaming::new_request(decoder, bytes.to_owned(), None, None)).await
    }

    #[tokio::test]
    async fn a_frame_that_is_none_of_the_protocol_is_an_error_of_the_connector() {
        // A field of a length that is not there.
        let malformed = first_of("\0\0\0\0\x02\x0a\x7f").await;
        assert!(matches!(malformed, Inbound::Malformed { .. }));
    }

    #[tokio::test]
    async fn a_stream_that_ends_within_a_frame_is_a_connector_that_is_gone() {
        assert!(matches!(first_of("\0\0\0\0\x09\x0a").await, Inbound::Gone));
    }
}
