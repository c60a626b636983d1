//! Sessions, from the sidecar's side.

use std::time::Duration;

use danube_connector_proto::v1::{
    self, SinkServiceRunRequest, SinkServiceRunResponse, SourceServiceRunRequest,
    SourceServiceRunResponse, sink_service_run_request as sink_up,
    sink_service_run_response as sink_down, source_service_run_request as source_up,
    source_service_run_response as source_down,
};
use tokio::time::timeout;
use tonic::{Status, metadata::MetadataMap};

use super::server::Ends;

/// Longer than anything takes that works.
const WAIT: Duration = Duration::from_secs(20);

/// The output of a future that has to end.
pub(crate) async fn within<T>(future: impl Future<Output = T>) -> T {
    timeout(WAIT, future).await.expect("it happens in time")
}

/// A record for a batch.
pub(crate) fn record(delivery_id: u64, key: Option<&str>, payload: &str) -> v1::SinkRecord {
    v1::SinkRecord {
        delivery_id,
        attempt: 1,
        topic: "/default/orders".to_owned(),
        partition_topic: "/default/orders".to_owned(),
        offset: delivery_id,
        payload: payload.to_owned().into(),
        key: key.map(str::to_owned),
        publish_time_ms: 1_700_000_000_000,
        producer_name: "producer".to_owned(),
        dedup_id: format!("{delivery_id:032x}"),
        subscription: "subscription".to_owned(),
        ..v1::SinkRecord::default()
    }
}

/// A sink's session.
pub(crate) struct SinkScript {
    pub(crate) open: v1::SinkOpen,
    ends: Ends<SinkServiceRunRequest, SinkServiceRunResponse>,
}

impl SinkScript {
    pub(super) async fn new(mut ends: Ends<SinkServiceRunRequest, SinkServiceRunResponse>) -> Self {
        let first = within(ends.up.message()).await.expect("a frame").expect("a frame");
        let Some(sink_up::Frame::Open(open)) = first.frame else {
            panic!("the first frame is not `open`: {first:?}")
        };
        Self { open, ends }
    }

    pub(crate) fn metadata(&self) -> &MetadataMap {
        &self.ends.metadata
    }

    pub(crate) async fn opened(&self) {
        let opened = v1::SinkOpened {
            session_id: "session".to_owned(),
            epoch: 7,
            protocol_version: 1,
            ..v1::SinkOpened::default()
        };
        self.send(sink_down::Frame::Opened(opened)).await;
    }

    pub(crate) async fn batch(&self, records: Vec<v1::SinkRecord>) {
        self.send(sink_down::Frame::Batch(v1::SinkBatch { records, epoch: 7 })).await;
    }

    pub(crate) async fn send(&self, frame: sink_down::Frame) {
        self.send_raw(SinkServiceRunResponse { frame: Some(frame) }).await;
    }

    pub(crate) async fn send_raw(&self, frame: SinkServiceRunResponse) {
        self.ends.down.send(Ok(frame)).await.expect("the stream is open");
    }

    /// The connector's next frame; none when it has ended its side.
    pub(crate) async fn next(&mut self) -> Option<sink_up::Frame> {
        within(self.ends.up.message()).await.expect("no error").and_then(|frame| frame.frame)
    }

    /// The connector's next frame, which has to be results.
    pub(crate) async fn results(&mut self) -> v1::SinkResults {
        match self.next().await {
            Some(sink_up::Frame::Results(results)) => results,
            other => panic!("expected results, got {other:?}"),
        }
    }

    /// Reads results until these many records are answered: what was acked, and
    /// what failed, in order.
    pub(crate) async fn outcomes(&mut self, records: usize) -> (Vec<u64>, Vec<v1::SinkFailure>) {
        let (mut acked, mut failures) = (Vec::new(), Vec::new());
        while acked.len() + failures.len() < records {
            let results = self.results().await;
            acked.extend(results.acked.iter().flat_map(|range| range.first..=range.last));
            failures.extend(results.failures);
        }
        (acked, failures)
    }

    /// Ends the session with a status.
    pub(crate) async fn fail(self, status: Status) {
        self.ends.down.send(Err(status)).await.expect("the stream is open");
    }
}

/// A source's session.
pub(crate) struct SourceScript {
    pub(crate) open: v1::SourceOpen,
    ends: Ends<SourceServiceRunRequest, SourceServiceRunResponse>,
}

impl SourceScript {
    pub(super) async fn new(
        mut ends: Ends<SourceServiceRunRequest, SourceServiceRunResponse>,
    ) -> Self {
        let first = within(ends.up.message()).await.expect("a frame").expect("a frame");
        let Some(source_up::Frame::Open(open)) = first.frame else {
            panic!("the first frame is not `open`: {first:?}")
        };
        Self { open, ends }
    }

    pub(crate) async fn opened(&self, positions: Vec<v1::Position>) {
        self.open_with(positions, false).await;
    }

    /// Opens the session; further positions follow.
    pub(crate) async fn opened_with_more(&self, positions: Vec<v1::Position>) {
        self.open_with(positions, true).await;
    }

    async fn open_with(&self, positions: Vec<v1::Position>, more_positions: bool) {
        let opened = v1::SourceOpened {
            session_id: "session".to_owned(),
            epoch: 7,
            protocol_version: 1,
            positions,
            more_positions,
            ..v1::SourceOpened::default()
        };
        self.send(source_down::Frame::Opened(opened)).await;
    }

    /// Allows this many records in total.
    pub(crate) async fn demand(&self, records: u64) {
        let demand = v1::SourceDemand { records, bytes: 1 << 20 };
        self.send(source_down::Frame::Demand(demand)).await;
    }

    pub(crate) async fn committed(&self, number: u64) {
        self.send(source_down::Frame::Committed(v1::SourceCommitted { number })).await;
    }

    pub(crate) async fn send(&self, frame: source_down::Frame) {
        let frame = SourceServiceRunResponse { frame: Some(frame) };
        self.ends.down.send(Ok(frame)).await.expect("the stream is open");
    }

    /// The connector's next frame; none when it has ended its side.
    pub(crate) async fn next(&mut self) -> Option<source_up::Frame> {
        within(self.ends.up.message()).await.expect("no error").and_then(|frame| frame.frame)
    }

    /// The connector's next frame, which has to be records.
    pub(crate) async fn records(&mut self) -> v1::SourceRecords {
        match self.next().await {
            Some(source_up::Frame::Records(records)) => records,
            other => panic!("expected records, got {other:?}"),
        }
    }

    /// Reads until this many records have come, and checks their numbering.
    pub(crate) async fn take(&mut self, first_number: u64, count: usize) -> Vec<v1::SourceRecord> {
        let mut records = Vec::new();
        while records.len() < count {
            let frame = self.records().await;
            assert_eq!(frame.first_number, first_number + records.len() as u64);
            records.extend(frame.records);
        }
        records
    }

    /// The payloads of the next records, as text.
    pub(crate) async fn texts(&mut self, first_number: u64, count: usize) -> Vec<String> {
        let text = |record: v1::SourceRecord| String::from_utf8_lossy(&record.payload).into_owned();
        self.take(first_number, count).await.into_iter().map(text).collect()
    }

    /// Checks that the connector has nothing to say but the answer to a probe.
    pub(crate) async fn expect_nothing(&mut self) {
        self.send(source_down::Frame::Probe(v1::Probe { probe_id: 99 })).await;
        let next = self.next().await;
        assert!(matches!(next, Some(source_up::Frame::Health(_))), "{next:?}");
    }

    /// Ends the session with a status.
    pub(crate) async fn fail(self, status: Status) {
        self.ends.down.send(Err(status)).await.expect("the stream is open");
    }
}
