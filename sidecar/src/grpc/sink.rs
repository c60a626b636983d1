//! One sink session: a worker's stream.

use std::{
    collections::HashSet,
    convert::Infallible,
    sync::Arc,
    task::{Context, Poll},
};

use danube_connector_proto::{
    PROTOCOL_VERSION,
    v1::{
        self, SinkServiceRunRequest, SinkServiceRunResponse, sink_service_run_request::Frame as In,
        sink_service_run_response::Frame as Out, sink_service_server::SERVICE_NAME,
    },
};
use danube_sidecar_core::{
    dispatch::{Departure, Offer},
    record::SchemaRef,
};
use futures::future::BoxFuture;
use prost::Message as _;
use tokio::{
    sync::{mpsc, oneshot},
    time::timeout,
};
use tonic::{
    Request, Response, Status, Streaming,
    body::Body,
    server::{Grpc, NamedService, StreamingService},
};
use tower::Service;

use super::{
    Inbound, OPEN_TIMEOUT, Outbound, Shared, convert, first,
    frames::{SinkCodec, SinkFrame},
    limits, outbound, read,
    status::status,
    too_large,
};
use crate::{
    refusal::Refusal,
    session::{Caller, FromSink, SinkOpen, ToSink},
    sink::{Seat, Sink},
};

/// The sink service: what is generated for it, but for how its frames are written.
#[derive(Clone)]
pub(super) struct SinkGrpc {
    shared: Arc<Shared>,
}

type Frames = mpsc::Sender<Result<SinkFrame, Status>>;

impl SinkGrpc {
    /// The path of its one method.
    const RUN: &str = "/danube.connector.v1.SinkService/Run";

    pub(super) fn new(shared: Shared) -> Self {
        Self { shared: Arc::new(shared) }
    }

    async fn run(
        self,
        request: Request<Streaming<SinkServiceRunRequest>>,
    ) -> Result<Response<Outbound<SinkFrame>>, Status> {
        let trusted = self.shared.auth.trusts(request.extensions());
        let (frames, stream) = outbound();
        let session = SinkSession { shared: Arc::clone(&self.shared), trusted, frames };
        self.shared.spawn("sinks", session.run(request.into_inner()));
        Ok(Response::new(stream))
    }
}

impl NamedService for SinkGrpc {
    const NAME: &'static str = SERVICE_NAME;
}

impl Service<http::Request<Body>> for SinkGrpc {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let service = self.clone();
        Box::pin(async move {
            if request.uri().path() != Self::RUN {
                let other = format!("{SERVICE_NAME} has one method: {}", Self::RUN);
                return Ok(Status::unimplemented(other).into_http());
            }
            let grpc = Grpc::new(SinkCodec).max_decoding_message_size(limits::INBOUND_FRAME);
            Ok(grpc.max_encoding_message_size(usize::MAX).streaming(service, request).await)
        })
    }
}

impl StreamingService<SinkServiceRunRequest> for SinkGrpc {
    type Response = SinkFrame;
    type ResponseStream = Outbound<SinkFrame>;
    type Future = BoxFuture<'static, Result<Response<Self::ResponseStream>, Status>>;

    fn call(&mut self, request: Request<Streaming<SinkServiceRunRequest>>) -> Self::Future {
        Box::pin(self.clone().run(request))
    }
}

struct SinkSession {
    shared: Arc<Shared>,
    trusted: bool,
    frames: Frames,
}

/// What the worker's side of a session can read.
struct Reader {
    /// Whether it wants schemas.
    schemas: bool,
    /// Its largest frame.
    limit: usize,
}

/// A session whose worker has its seat. Wherever it is dropped, its stream is closed
/// before the seat is free: only then may the worker's lanes go to another one.
struct Seated {
    session: SinkSession,
    sink: Sink,
    seat: Seat,
    reader: Reader,
}

/// How a session came to its end.
struct End {
    departure: Departure,
    refusal: Option<Refusal>,
}

impl SinkSession {
    async fn run(self, mut inbound: Streaming<SinkServiceRunRequest>) {
        let opened = tokio::select! {
            opened = self.open(&mut inbound) => opened,
            () = self.frames.closed() => return,
        };
        let (sink, seat, reader) = match opened {
            Ok(opened) => opened,
            Err(refusal) => return self.close(Some(refusal)).await,
        };
        let mut seated = Seated { session: self, sink, seat, reader };
        let end = seated.serve(inbound).await;
        let Seated { session, seat, .. } = seated;
        session.close(end.refusal).await;
        seat.leave(end.departure);
    }

    async fn open(
        &self,
        inbound: &mut Streaming<SinkServiceRunRequest>,
    ) -> Result<(Sink, Seat, Reader), Refusal> {
        let open = match first(inbound).await?.frame {
            Some(In::Open(open)) => convert::sink_open(open)?,
            Some(other) => {
                return Err(Refusal::NotOpened { got: convert::sink_frame_name(&other) });
            }
            None => return Err(Refusal::NotOpened { got: "an unknown frame" }),
        };
        let sink = self.shared.connectors.sink(&open).await?;
        let seat = sink.join(open.clone()).await?;
        let opened = self.opened(&open, &seat)?;
        // A worker that is gone already is noticed by the reader.
        let _ = self.frames.send(Ok(frame(Out::Opened(opened)))).await;
        let Caller { capabilities, max_frame_bytes, .. } = open.caller;
        Ok((sink, seat, Reader { schemas: capabilities.schema, limit: max_frame_bytes }))
    }

    fn opened(&self, open: &SinkOpen, seat: &Seat) -> Result<v1::SinkOpened, Refusal> {
        let name = &open.caller.connector;
        let opened = v1::SinkOpened {
            session_id: format!("{name}/{}/{}", seat.worker_id, seat.epoch),
            epoch: seat.epoch,
            protocol_version: PROTOCOL_VERSION,
            limits: Some(limits::of_session(open.caller.max_frame_bytes)),
            subscriptions: seat.subscriptions.iter().map(convert::subscription_in_force).collect(),
            settings_json: self.shared.connectors.settings_json(&open.caller, self.trusted)?,
            worker_id: seat.worker_id.clone(),
        };
        limits::fits(opened.encoded_len(), open.caller.max_frame_bytes)?;
        Ok(opened)
    }

    /// Ends the stream; a connector that does not read it is not waited for.
    async fn close(self, refusal: Option<Refusal>) {
        let Some(refusal) = refusal else { return };
        tracing::warn!(reason = refusal.reason(), "sink session refused: {refusal}");
        let _ = timeout(OPEN_TIMEOUT, self.frames.send(Err(status(&refusal)))).await;
    }
}

impl Seated {
    async fn serve(&mut self, inbound: Streaming<SinkServiceRunRequest>) -> End {
        let Self { session, sink, seat, reader: Reader { schemas, limit } } = self;
        let Seat { worker, epoch, frames, end, .. } = seat;
        let writer = Writer {
            shared: &session.shared,
            frames: &session.frames,
            epoch: *epoch,
            introduced: schemas.then(HashSet::new),
            limit: *limit,
        };
        tokio::select! {
            end = reader(inbound, sink, *worker) => end,
            () = writer.run(frames) => End { departure: Departure::Crashed, refusal: None },
            () = session.frames.closed() => End { departure: Departure::Crashed, refusal: None },
            end = ended(end) => end,
        }
    }
}

/// The driver ends the session.
async fn ended(end: &mut oneshot::Receiver<Option<Refusal>>) -> End {
    let refusal = end.await.unwrap_or(Some(Refusal::Failed));
    End { departure: Departure::Released, refusal }
}

async fn reader(
    mut inbound: Streaming<SinkServiceRunRequest>,
    sink: &Sink,
    worker: danube_sidecar_core::dispatch::WorkerId,
) -> End {
    let mut drained = false;
    loop {
        let request = match read(&mut inbound).await {
            Inbound::Frame(request) => request,
            Inbound::TooLarge => {
                return End { departure: Departure::Released, refusal: Some(too_large()) };
            }
            Inbound::Malformed { problem } => {
                let refusal = Some(Refusal::MalformedFrame { problem });
                return End { departure: Departure::Released, refusal };
            }
            // A worker that said `drained` has left in good order.
            Inbound::Gone if drained => std::future::pending().await,
            Inbound::Gone => return End { departure: Departure::Crashed, refusal: None },
        };
        let Some(sent) = request.frame else { continue };
        match convert::from_sink(sent) {
            Ok(said) => {
                drained |= matches!(said, FromSink::Drained | FromSink::Fault(_));
                sink.said(worker, said).await;
            }
            Err(refusal) => return End { departure: Departure::Released, refusal: Some(refusal) },
        }
    }
}

/// Turns the driver's frames into the wire's, with schemas where they are wanted.
struct Writer<'a> {
    shared: &'a Shared,
    frames: &'a Frames,
    epoch: u64,
    /// Schemas that the worker has; none where it does not want them.
    introduced: Option<HashSet<SchemaRef>>,
    /// Largest frame that it accepts.
    limit: usize,
}

impl Writer<'_> {
    async fn run(mut self, frames: &mut mpsc::Receiver<ToSink>) {
        while let Some(next) = frames.recv().await {
            let sent = match next {
                ToSink::Batch(offers) => {
                    self.introduce(&offers).await;
                    SinkFrame::Batch { offers, epoch: self.epoch }
                }
                ToSink::Probe(probe_id) => frame(Out::Probe(v1::Probe { probe_id })),
                ToSink::Drain(timeout) => frame(Out::Drain(convert::drain(timeout))),
            };
            if self.frames.send(Ok(sent)).await.is_err() {
                return;
            }
        }
        // The driver is gone; its word about the end comes by another way.
        std::future::pending().await
    }

    /// Sends the schemas that this batch is the first to refer to.
    async fn introduce(&mut self, offers: &[Offer]) {
        let Some(introduced) = &mut self.introduced else { return };
        for schema in offers.iter().filter_map(|offer| offer.record.schema) {
            if !introduced.insert(schema) {
                continue;
            }
            match self.shared.connectors.schema(schema).await {
                Ok(found) => {
                    let sent = Out::Schema(v1::Schema {
                        r#ref: Some(convert::schema_ref(schema)),
                        subject: found.subject,
                        r#type: found.schema_type,
                        definition: found.definition,
                    });
                    if limits::fits(sent.encoded_len(), self.limit).is_err() {
                        tracing::warn!(
                            schema_id = schema.schema_id,
                            version = schema.version,
                            "schema is larger than the connector's frames: its records go without it"
                        );
                        continue;
                    }
                    // A worker that is gone is noticed by the reader.
                    let _ = self.frames.send(Ok(frame(sent))).await;
                }
                Err(error) => tracing::warn!(
                    schema_id = schema.schema_id, version = schema.version, %error,
                    "schema is not readable: its records go without it"
                ),
            }
        }
    }
}

fn frame(frame: Out) -> SinkFrame {
    SinkFrame::Other(SinkServiceRunResponse { frame: Some(frame) })
}
