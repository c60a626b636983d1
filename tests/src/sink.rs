//! A sink worker on nothing but the generated stubs.

use std::time::Duration;

use danube_connector_proto::v1::{
    self, DeliveryRange, SinkBatch, SinkFailure, SinkOpen, SinkOpened, SinkRecord, SinkResults,
    SinkServiceRunRequest, SinkServiceRunResponse, Subscription,
    sink_service_client::SinkServiceClient, sink_service_run_request::Frame as Out,
    sink_service_run_response::Frame as In,
};
use tokio::{sync::mpsc, time::timeout};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming};

use crate::{process::PATIENCE, sidecar::Sidecar};

/// A worker's side of one session.
pub struct SinkWorker {
    requests: mpsc::Sender<SinkServiceRunRequest>,
    responses: Streaming<SinkServiceRunResponse>,
}

/// An `open` for one topic.
pub fn open(connector: &str, topic: &str) -> SinkOpen {
    let subscription = Subscription { topic: topic.to_owned(), ..Subscription::default() };
    SinkOpen {
        connector: connector.to_owned(),
        subscriptions: vec![subscription],
        ..SinkOpen::default()
    }
}

/// Results that ack these records.
pub fn acked(records: &[SinkRecord]) -> SinkResults {
    let ranges =
        records.iter().map(|r| DeliveryRange { first: r.delivery_id, last: r.delivery_id });
    SinkResults { acked: ranges.collect(), failures: vec![] }
}

impl SinkWorker {
    /// Dials, without saying anything.
    ///
    /// # Panics
    /// When the sidecar does not answer.
    pub async fn dial(sidecar: &Sidecar) -> Self {
        let mut client = SinkServiceClient::new(sidecar.channel().await);
        let (requests, outgoing) = mpsc::channel(64);
        let responses = client.run(ReceiverStream::new(outgoing)).await.expect("a stream");
        Self { requests, responses: responses.into_inner() }
    }

    /// Dials and opens.
    ///
    /// # Panics
    /// When the sidecar refuses.
    pub async fn open(sidecar: &Sidecar, open: SinkOpen) -> (Self, SinkOpened) {
        let mut worker = Self::dial(sidecar).await;
        worker.send(Out::Open(open)).await;
        match worker.next().await {
            Ok(Some(In::Opened(opened))) => (worker, opened),
            other => panic!("expected `opened`, got {other:?}"),
        }
    }

    /// Sends a frame.
    pub async fn send(&self, frame: Out) {
        let request = SinkServiceRunRequest { frame: Some(frame) };
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

    /// The status that ends this session.
    ///
    /// # Panics
    /// When it ends well.
    pub async fn refusal(&mut self) -> Status {
        loop {
            match self.next().await {
                Err(status) => return status,
                Ok(None) => panic!("the session ended without a status"),
                Ok(Some(_)) => {}
            }
        }
    }

    /// The next batch.
    ///
    /// # Panics
    /// When another frame comes.
    pub async fn batch(&mut self) -> Vec<SinkRecord> {
        match self.next().await {
            Ok(Some(In::Batch(SinkBatch { records, .. }))) => records,
            other => panic!("expected a batch, got {other:?}"),
        }
    }

    /// The id of the probe that comes next.
    ///
    /// # Panics
    /// When another frame comes.
    pub async fn probed(&mut self) -> u64 {
        match self.next().await {
            Ok(Some(In::Probe(probe))) => probe.probe_id,
            other => panic!("expected a probe, got {other:?}"),
        }
    }

    /// Takes records until there are `count`, acking none.
    pub async fn take(&mut self, count: usize) -> Vec<SinkRecord> {
        let mut records = Vec::new();
        while records.len() < count {
            records.extend(self.batch().await);
        }
        records
    }

    /// Takes and acks records until there are `count`; their payloads.
    pub async fn write(&mut self, count: usize) -> Vec<String> {
        let mut payloads = Vec::new();
        while payloads.len() < count {
            let records = self.batch().await;
            self.send(Out::Results(acked(&records))).await;
            payloads.extend(records.iter().map(payload));
        }
        payloads
    }

    /// Says what became of records.
    pub async fn ack(&self, records: &[SinkRecord]) {
        self.send(Out::Results(acked(records))).await;
    }

    /// Says that one record failed.
    pub async fn fail(&self, record: &SinkRecord, outcome: v1::Outcome) {
        self.answer(&[], std::slice::from_ref(record), outcome, None).await;
    }

    /// Says in one frame what was written, and what became of the others.
    pub async fn answer(
        &self,
        written: &[SinkRecord],
        others: &[SinkRecord],
        outcome: v1::Outcome,
        retry_after: Option<Duration>,
    ) {
        let failure = |record: &SinkRecord| SinkFailure {
            delivery_id: record.delivery_id,
            outcome: outcome.into(),
            retry_after: retry_after.and_then(|after| after.try_into().ok()),
            code: "TEST".to_owned(),
            message: "as the test wants it".to_owned(),
        };
        let failures = others.iter().map(failure).collect();
        self.send(Out::Results(SinkResults { failures, ..acked(written) })).await;
    }
}

/// A record's payload as text.
fn payload(record: &SinkRecord) -> String {
    String::from_utf8_lossy(&record.payload).into_owned()
}
