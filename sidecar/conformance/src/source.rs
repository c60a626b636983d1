//! A source's stream, from the sidecar's end: what was asked for, and what came.

use std::time::Duration;

use danube_connector_proto::v1::{
    self, Capability, Position, SourceRecord, SourceServiceRunRequest, SourceServiceRunResponse,
    source_service_run_request::Frame as Up, source_service_run_response::Frame as Down,
};
use prost::Message as _;
use tonic::Status;

use super::{
    finding::{Verdict, broken, ensure},
    stage::{Call, Sources},
    trial::{ANSWER, QUIET},
    wire::{LIMITS, Wire},
};

/// What `opened` says.
pub struct Opening<'a> {
    /// Where to resume.
    pub positions: &'a [Position],
    /// The connector's own settings, if not those of the command line.
    pub settings: Option<&'a str>,
    /// The session's epoch.
    pub epoch: u64,
    /// The largest frame that is accepted.
    pub frame_limit: u64,
}

impl Default for Opening<'_> {
    fn default() -> Self {
        Self {
            positions: &[],
            settings: None,
            epoch: 1,
            frame_limit: LIMITS.max_inbound_frame_bytes,
        }
    }
}

/// One stream.
pub struct SourceSession {
    wire: Wire<Sources>,
    /// What it opened with.
    pub open: v1::SourceOpen,
    settings: String,
    /// Its records, in the order of their numbers.
    pub records: Vec<SourceRecord>,
    demand: v1::SourceDemand,
    frame_limit: u64,
    bytes: u64,
    drained: bool,
}

impl SourceSession {
    /// Reads the first frame.
    pub async fn begin(call: Call<Sources>, settings: String) -> Verdict<Self> {
        let mut wire = Wire::new(call);
        match wire.next("`open`", ANSWER).await?.frame {
            Some(Up::Open(open)) => Ok(Self {
                wire,
                open,
                settings,
                records: Vec::new(),
                demand: v1::SourceDemand::default(),
                frame_limit: LIMITS.max_inbound_frame_bytes,
                bytes: 0,
                drained: false,
            }),
            other => broken(format!("its first frame is not `open`: {other:?}")),
        }
    }

    /// Answers `open`.
    pub async fn opened(&mut self, opening: Opening<'_>) -> Verdict {
        self.frame_limit = opening.frame_limit;
        self.send(Down::Opened(v1::SourceOpened {
            session_id: format!("conformance-{}", opening.epoch),
            epoch: opening.epoch,
            protocol_version: 1,
            limits: Some(v1::Limits { max_inbound_frame_bytes: opening.frame_limit, ..LIMITS }),
            producers: self.open.producers.clone(),
            settings_json: opening.settings.unwrap_or(&self.settings).to_owned(),
            positions: opening.positions.to_vec(),
            worker_id: "worker-1".to_owned(),
            more_positions: false,
        }))
        .await
    }

    /// Whether it declared this.
    pub fn declares(&self, capability: Capability) -> bool {
        self.open.capabilities.contains(&capability.into())
    }

    /// Allows so many records, and a mebibyte for each.
    pub async fn demand(&mut self, records: u64) -> Verdict {
        self.demand_of(records, records << 20).await
    }

    /// Allows so many records and bytes since the session opened.
    pub async fn demand_of(&mut self, records: u64, bytes: u64) -> Verdict {
        self.demand = v1::SourceDemand { records, bytes };
        self.send(Down::Demand(self.demand)).await
    }

    /// Says that all up to this number is safe.
    pub async fn committed(&mut self, number: u64) -> Verdict {
        self.send(Down::Committed(v1::SourceCommitted { number })).await
    }

    /// Sends a frame.
    pub async fn send(&mut self, frame: Down) -> Verdict {
        self.send_raw(SourceServiceRunResponse { frame: Some(frame) }.encode_to_vec()).await
    }

    /// Sends bytes as a frame.
    pub async fn send_raw(&mut self, frame: Vec<u8>) -> Verdict {
        self.wire.send(frame.into()).await
    }

    /// Reads until so many records have come.
    pub async fn until(&mut self, records: usize) -> Verdict {
        while self.records.len() < records {
            let expected = format!("record {} of {records}", self.records.len() + 1);
            let frame = self.wire.next(&expected, ANSWER).await?;
            if let Some(other) = self.take(frame)? {
                return broken(format!("expected {expected}, and got {other:?}"));
            }
        }
        Ok(())
    }

    /// Reads until something comes that are no records.
    pub async fn next(&mut self, expected: &str, patience: Duration) -> Verdict<Up> {
        loop {
            let frame = self.wire.next(expected, patience).await?;
            if let Some(other) = self.take(frame)? {
                return Ok(other);
            }
        }
    }

    /// Nothing may come for a moment.
    pub async fn stays_quiet(&mut self) -> Verdict {
        let before = self.records.len();
        match self.wire.next_within(QUIET).await? {
            None => Ok(()),
            Some(frame) => match self.take(frame)? {
                Some(other) => broken(format!("it sent what nobody asked for: {other:?}")),
                None => broken(format!("it sent records beyond the first {before}")),
            },
        }
    }

    /// Reads until the connector closes its half.
    pub async fn closed(&mut self, patience: Duration) -> Verdict {
        self.wire.closed(patience).await
    }

    /// Ends the stream.
    pub async fn end(self, status: Status) {
        self.wire.end(status).await;
    }

    /// Where the record with this number stands.
    pub fn position(&self, number: usize) -> Verdict<Position> {
        match self.records.get(number - 1).and_then(|record| record.position.clone()) {
            Some(position) => Ok(position),
            None => broken(format!("record {number} has no position: nothing could resume there")),
        }
    }

    /// Notes records; gives any other frame back.
    fn take(&mut self, frame: SourceServiceRunRequest) -> Verdict<Option<Up>> {
        let size = frame.encoded_len() as u64;
        match frame.frame {
            Some(Up::Records(records)) => self.took(records, size).map(|()| None),
            Some(Up::Open(_)) => broken("it sent `open` twice"),
            Some(Up::Drained(drained)) => {
                ensure(!self.drained, || "it sent `drained` twice".to_owned())?;
                self.drained = true;
                Ok(Some(Up::Drained(drained)))
            }
            other => Ok(other),
        }
    }

    fn took(&mut self, records: v1::SourceRecords, size: u64) -> Verdict {
        let (next, limit) = (self.records.len() as u64 + 1, self.frame_limit);
        let first = records.first_number;
        ensure(!self.drained, || "it sent records after `drained`".to_owned())?;
        ensure(!records.records.is_empty(), || "it sent a frame of no records".to_owned())?;
        ensure(first == next, || format!("a frame begins with number {first}; expected {next}"))?;
        ensure(size <= limit, || format!("a frame has {size} bytes; {limit} are accepted"))?;
        for record in records.records {
            let number = self.records.len() as u64 + 1;
            let v1::SourceDemand { records, bytes } = self.demand;
            ensure(number <= records, || {
                format!("record {number} came; demand is {records} records")
            })?;
            let sent = self.bytes;
            ensure(sent < bytes, || {
                format!("record {number} came after {sent} bytes; demand is {bytes} bytes")
            })?;
            self.bytes += record.encoded_len() as u64;
            self.records.push(record);
        }
        Ok(())
    }
}
