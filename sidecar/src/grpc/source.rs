//! One source session: a source's stream.

use danube_connector_proto::{
    PROTOCOL_VERSION,
    v1::{
        self, SourceServiceRunRequest, SourceServiceRunResponse,
        source_service_run_request::Frame as In, source_service_run_response::Frame as Out,
        source_service_server::SourceService,
    },
};
use tokio::{sync::mpsc, time::timeout};
use tonic::{Request, Response, Status, Streaming, async_trait};

use super::{
    Inbound, OPEN_TIMEOUT, Outbound, Shared, convert, convert_source, first, limits, outbound,
    positions::{Pages, pages},
    read,
    status::status,
    too_large,
};
use crate::{
    refusal::Refusal,
    session::{Caller, FromSource},
    source::{News, Progress, Seat, Told},
};

/// The source service.
pub(super) struct SourceGrpc {
    shared: Shared,
}

type Frames = mpsc::Sender<Result<SourceServiceRunResponse, Status>>;

impl SourceGrpc {
    pub(super) fn new(shared: Shared) -> Self {
        Self { shared }
    }
}

#[async_trait]
impl SourceService for SourceGrpc {
    type RunStream = Outbound<SourceServiceRunResponse>;

    async fn run(
        &self,
        request: Request<Streaming<SourceServiceRunRequest>>,
    ) -> Result<Response<Self::RunStream>, Status> {
        let trusted = self.shared.auth.trusts(request.extensions());
        let (frames, stream) = outbound();
        let session = SourceSession { shared: self.shared.clone(), trusted, frames };
        self.shared.spawn("sources", session.run(request.into_inner()));
        Ok(Response::new(stream))
    }
}

struct SourceSession {
    shared: Shared,
    trusted: bool,
    frames: Frames,
}

impl SourceSession {
    async fn run(self, mut inbound: Streaming<SourceServiceRunRequest>) {
        let opened = tokio::select! {
            opened = self.open(&mut inbound) => opened,
            () = self.frames.closed() => return,
        };
        let refusal = match opened {
            Ok((seat, drains)) => self.serve(inbound, seat, drains).await,
            Err(refusal) => Some(refusal),
        };
        let Some(refusal) = refusal else { return };
        tracing::warn!(reason = refusal.reason(), "source session refused: {refusal}");
        let _ = timeout(OPEN_TIMEOUT, self.frames.send(Err(status(&refusal)))).await;
    }

    async fn open(
        &self,
        inbound: &mut Streaming<SourceServiceRunRequest>,
    ) -> Result<(Seat, bool), Refusal> {
        let open = match first(inbound).await?.frame {
            Some(In::Open(open)) => convert_source::source_open(open)?,
            Some(other) => {
                return Err(Refusal::NotOpened { got: convert_source::source_frame_name(&other) });
            }
            None => return Err(Refusal::NotOpened { got: "an unknown frame" }),
        };
        let caller = open.caller.clone();
        let mut seat = self.shared.connectors.source(open).await?;
        let Pages { opened, others } = self.opened(&caller, &mut seat)?;
        // A source that is gone already is noticed by the reader.
        let _ = self.frames.send(Ok(frame(Out::Opened(opened)))).await;
        for page in others {
            let _ = self.frames.send(Ok(frame(Out::Positions(page)))).await;
        }
        Ok((seat, caller.capabilities.drain))
    }

    fn opened(&self, caller: &Caller, seat: &mut Seat) -> Result<Pages, Refusal> {
        let positions = std::mem::take(&mut seat.positions);
        let opened = v1::SourceOpened {
            session_id: format!("{}/{}/{}", caller.connector, seat.worker_id, seat.epoch),
            epoch: seat.epoch,
            protocol_version: PROTOCOL_VERSION,
            limits: Some(limits::of_session(caller.max_frame_bytes)),
            producers: seat.producers.iter().map(convert_source::producer_in_force).collect(),
            settings_json: self.shared.connectors.settings_json(caller, self.trusted)?,
            worker_id: seat.worker_id.clone(),
            ..v1::SourceOpened::default()
        };
        let positions = positions.into_iter().map(convert_source::position).collect();
        pages(caller, opened, positions)
    }

    /// Serves until the session ends; the session settles what it accepted even
    /// when the source is gone.
    async fn serve(
        &self,
        inbound: Streaming<SourceServiceRunRequest>,
        seat: Seat,
        drains: bool,
    ) -> Option<Refusal> {
        let Seat { said, news, .. } = seat;
        let writer = Writer { frames: &self.frames, told: Progress::default() };
        tokio::select! {
            refusal = reader(inbound, said) => Some(refusal),
            refusal = writer.run(news, drains) => refusal,
            () = self.frames.closed() => None,
        }
    }
}

/// Hands on what the source says; comes back only with a refusal.
async fn reader(
    mut inbound: Streaming<SourceServiceRunRequest>,
    said: mpsc::Sender<FromSource>,
) -> Refusal {
    loop {
        let request = match read(&mut inbound).await {
            Inbound::Frame(request) => request,
            Inbound::TooLarge => return too_large(),
            Inbound::Malformed { problem } => return Refusal::MalformedFrame { problem },
            Inbound::Gone => break,
        };
        let Some(sent) = request.frame else { continue };
        match convert_source::from_source(sent) {
            // A session that has ended takes no more; its end comes by another way.
            Ok(frame) => _ = said.send(frame).await,
            Err(refusal) => return refusal,
        }
    }
    // The session learns that the source is gone, settles, and ends.
    drop(said);
    std::future::pending().await
}

/// Turns the session's progress into frames.
struct Writer<'a> {
    frames: &'a Frames,
    told: Progress,
}

impl Writer<'_> {
    async fn run(mut self, mut news: News, drains: bool) -> Option<Refusal> {
        loop {
            match news.next().await {
                Told::Progress(now) => self.tell(now).await,
                Told::Rejected(record) => {
                    self.send(Out::Rejected(v1::SourceRejected {
                        number: record.number,
                        code: record.code.to_owned(),
                        message: record.message,
                    }))
                    .await
                }
                Told::Drain(within) if drains => {
                    self.send(Out::Drain(convert::drain(within))).await
                }
                Told::Drain(_) => {}
                Told::Probe(probe_id) => self.send(Out::Probe(v1::Probe { probe_id })).await,
                Told::End(end) => return end,
            }
        }
    }

    async fn tell(&mut self, now: Progress) {
        if now.committed > self.told.committed {
            self.send(Out::Committed(v1::SourceCommitted { number: now.committed })).await;
        }
        let demand = (now.demand_records, now.demand_bytes);
        if demand != (self.told.demand_records, self.told.demand_bytes) {
            let (records, bytes) = demand;
            self.send(Out::Demand(v1::SourceDemand { records, bytes })).await;
        }
        self.told = now;
    }

    async fn send(&self, out: Out) {
        // A source that is gone is noticed by the reader.
        let _ = self.frames.send(Ok(frame(out))).await;
    }
}

fn frame(frame: Out) -> SourceServiceRunResponse {
    SourceServiceRunResponse { frame: Some(frame) }
}
