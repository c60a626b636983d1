//! A source on nothing but the generated stubs.

use danube_connector_proto::v1::{
    Capability, Position, Producer, SourceOpen, SourceOpened, SourceRecord, SourceRecords,
    SourceServiceRunRequest, SourceServiceRunResponse, source_service_client::SourceServiceClient,
    source_service_run_request::Frame as Out, source_service_run_response::Frame as In,
};
use tokio::{sync::mpsc, time::timeout};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming};

use crate::{process::PATIENCE, sidecar::Sidecar};

/// A source's side of one session.
pub struct SourceSession {
    requests: mpsc::Sender<SourceServiceRunRequest>,
    responses: Streaming<SourceServiceRunResponse>,
    sent: u64,
}

impl SourceSession {
    /// Dials and opens for one topic.
    ///
    /// # Panics
    /// When the sidecar refuses.
    pub async fn open(sidecar: &Sidecar, connector: &str, topic: &str) -> (Self, SourceOpened) {
        Self::open_with(sidecar, connector, topic, &[]).await
    }

    /// The same, with capabilities.
    ///
    /// # Panics
    /// When the sidecar refuses.
    pub async fn open_with(
        sidecar: &Sidecar,
        connector: &str,
        topic: &str,
        capabilities: &[Capability],
    ) -> (Self, SourceOpened) {
        match Self::try_open(sidecar, connector, topic, capabilities).await {
            Ok(opened) => opened,
            Err(refusal) => panic!("expected `opened`, got {refusal:?}"),
        }
    }

    /// The same, where the sidecar may refuse.
    ///
    /// # Errors
    /// The status that ended the stream.
    ///
    /// # Panics
    /// When something else than `opened` comes.
    pub async fn try_open(
        sidecar: &Sidecar,
        connector: &str,
        topic: &str,
        capabilities: &[Capability],
    ) -> Result<(Self, SourceOpened), Status> {
        let mut client = SourceServiceClient::new(sidecar.channel().await);
        let (requests, outgoing) = mpsc::channel(64);
        let responses = client.run(ReceiverStream::new(outgoing)).await.expect("a stream");
        let mut session = Self { requests, responses: responses.into_inner(), sent: 0 };
        let producer = Producer { topic: topic.to_owned(), ..Producer::default() };
        let open = SourceOpen {
            connector: connector.to_owned(),
            producers: vec![producer],
            capabilities: capabilities.iter().map(|&capability| capability.into()).collect(),
            ..SourceOpen::default()
        };
        session.send(Out::Open(open)).await;
        match session.next().await? {
            Some(In::Opened(opened)) => Ok((session, opened)),
            other => panic!("expected `opened`, got {other:?}"),
        }
    }

    /// Sends a frame.
    pub async fn send(&self, frame: Out) {
        let request = SourceServiceRunRequest { frame: Some(frame) };
        self.requests.send(request).await.expect("the stream is open");
    }

    /// The next frame; none at a good end.
    ///
    /// # Errors
    /// The status that ended the stream.
    ///
    /// # Panics
    /// When nothing comes in time.
    pub async fn next(&mut self) -> Result<Option<In>, Status> {
        let next = timeout(PATIENCE, self.responses.message()).await.expect("a frame in time");
        Ok(next?.and_then(|response| response.frame))
    }

    /// Sends one frame of records of source partition `file`, positions counted
    /// from `offset`.
    pub async fn records(&mut self, offset: u64, payloads: &[String]) {
        let records = (offset..).zip(payloads).map(|(offset, payload)| SourceRecord {
            payload: payload.clone().into(),
            position: Some(Position {
                source_partition: "file".to_owned(),
                offset,
                metadata: None,
            }),
            ..SourceRecord::default()
        });
        let first_number = self.sent + 1;
        self.sent += payloads.len() as u64;
        self.send(Out::Records(SourceRecords { first_number, records: records.collect() })).await;
    }

    /// Waits until it is probed; the probe's id.
    ///
    /// # Panics
    /// When the session ends before.
    pub async fn probed(&mut self) -> u64 {
        loop {
            match self.next().await {
                Ok(Some(In::Probe(probe))) => return probe.probe_id,
                Ok(Some(_)) => {}
                other => panic!("expected a probe, got {other:?}"),
            }
        }
    }

    /// Waits until everything up to `number` is committed.
    ///
    /// # Panics
    /// When the session ends before.
    pub async fn committed(&mut self, number: u64) {
        loop {
            match self.next().await {
                Ok(Some(In::Committed(committed))) if committed.number >= number => return,
                Ok(Some(_)) => {}
                other => panic!("expected `committed`, got {other:?}"),
            }
        }
    }
}
