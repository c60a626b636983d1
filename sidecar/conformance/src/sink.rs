//! A sink's stream, from the sidecar's end: what was offered, and what was answered.

use std::{collections::BTreeMap, time::Duration};

use danube_connector_proto::v1::{
    self, Capability, SinkRecord, SinkServiceRunRequest, SinkServiceRunResponse,
    sink_service_run_request::Frame as Up, sink_service_run_response::Frame as Down,
};
use prost::Message as _;
use tonic::Status;

use super::{
    finding::{Verdict, broken, ensure},
    stage::{Call, Sinks},
    trial::{ANSWER, QUIET},
    wire::{LIMITS, Wire},
};

/// The topic, where the connector names none.
const TOPIC: &str = "/default/conformance";
/// Most records in hand, where the connector does not say.
const WINDOW: u32 = 1000;

/// How a record was answered.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// Written.
    Acked,
    /// Not written.
    Failed(v1::SinkFailure),
}

/// One stream.
pub struct SinkSession {
    wire: Wire<Sinks>,
    /// What it opened with.
    pub open: v1::SinkOpen,
    settings: String,
    next_id: u64,
    /// Part of the records' identities: those of other cases differ.
    salt: u64,
    /// Deliveries and their answers; none while there is none.
    deliveries: BTreeMap<u64, Option<Answer>>,
}

impl SinkSession {
    /// Reads the first frame.
    pub async fn begin(call: Call<Sinks>, settings: String, salt: u64) -> Verdict<Self> {
        let mut wire = Wire::new(call);
        match wire.next("`open`", ANSWER).await?.frame {
            Some(Up::Open(open)) => {
                Ok(Self { wire, open, settings, next_id: 1, salt, deliveries: BTreeMap::new() })
            }
            other => broken(format!("its first frame is not `open`: {other:?}")),
        }
    }

    /// Answers `open`.
    pub async fn opened(&mut self) -> Verdict {
        self.opened_in(1).await
    }

    /// Answers `open` with this epoch.
    pub async fn opened_in(&mut self, epoch: u64) -> Verdict {
        self.opened_with(&self.settings.clone(), epoch).await
    }

    /// Answers `open` with these settings and this epoch.
    pub async fn opened_with(&mut self, settings: &str, epoch: u64) -> Verdict {
        self.send(Down::Opened(v1::SinkOpened {
            session_id: format!("conformance-{epoch}"),
            epoch,
            protocol_version: 1,
            limits: Some(LIMITS),
            subscriptions: self.open.subscriptions.clone(),
            settings_json: settings.to_owned(),
            worker_id: "worker-1".to_owned(),
        }))
        .await
    }

    /// Whether it declared this.
    pub fn declares(&self, capability: Capability) -> bool {
        self.open.capabilities.contains(&capability.into())
    }

    /// Most records that it may have in hand.
    pub fn window(&self) -> usize {
        match self.open.window_records {
            0 => WINDOW as usize,
            records => records as usize,
        }
    }

    /// Most records of a batch.
    pub fn batch_size(&self) -> usize {
        match self.open.max_batch_records {
            0 => (self.window() / 2).clamp(1, WINDOW as usize),
            records => records as usize,
        }
    }

    /// A record with this number and payload, offered for the first time.
    pub fn record(&self, number: u64, payload: &str) -> SinkRecord {
        let subscription = self.open.subscriptions.first();
        let topic = subscription.map_or(TOPIC, |subscription| &subscription.topic).to_owned();
        SinkRecord {
            delivery_id: 0,
            attempt: 1,
            partition_topic: topic.clone(),
            topic,
            offset: number,
            payload: payload.as_bytes().to_vec().into(),
            publish_time_ms: 1_700_000_000_000 + number,
            producer_name: "conformance".to_owned(),
            dedup_id: format!("{:016x}{number:016x}", self.salt),
            subscription: self.open.connector.clone(),
            ..SinkRecord::default()
        }
    }

    /// Offers records; tells their delivery ids.
    pub async fn offer(&mut self, mut records: Vec<SinkRecord>) -> Verdict<Vec<u64>> {
        for record in &mut records {
            record.delivery_id = self.next_id;
            self.next_id += 1;
            self.deliveries.insert(record.delivery_id, None);
        }
        let ids = records.iter().map(|record| record.delivery_id).collect();
        self.send(Down::Batch(v1::SinkBatch { records, epoch: 1 })).await?;
        Ok(ids)
    }

    /// Lets the ids of others lie between what is offered before and after.
    pub fn skip_ids(&mut self, count: u64) {
        self.next_id += count;
    }

    /// Sends a frame.
    pub async fn send(&mut self, frame: Down) -> Verdict {
        self.send_raw(SinkServiceRunResponse { frame: Some(frame) }.encode_to_vec()).await
    }

    /// Sends bytes as a frame.
    pub async fn send_raw(&mut self, frame: Vec<u8>) -> Verdict {
        self.wire.send(frame.into()).await
    }

    /// Reads until everything that was offered is answered.
    pub async fn all_answers(&mut self) -> Verdict<BTreeMap<u64, Answer>> {
        self.answers_within(ANSWER).await
    }

    /// The same, with other patience.
    pub async fn answers_within(&mut self, patience: Duration) -> Verdict<BTreeMap<u64, Answer>> {
        while self.deliveries.values().any(Option::is_none) {
            let open = self.open_ids();
            let expected = format!("the results of deliveries {}", shown(&open));
            let frame = self.wire.next(&expected, patience).await?;
            self.take(frame)?;
        }
        let answers = self.deliveries.iter();
        Ok(answers.filter_map(|(id, answer)| Some((*id, answer.clone()?))).collect())
    }

    /// Reads until everything is answered, all of it written.
    pub async fn all_written(&mut self) -> Verdict {
        let answers = self.all_answers().await?;
        let failed = answers.iter().find(|(_, answer)| **answer != Answer::Acked);
        ensure(failed.is_none(), || format!("a record was not written: {failed:?}"))
    }

    /// Reads until something comes that is no result.
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
        match self.wire.next_within(QUIET).await? {
            Some(frame) => match self.take(frame)? {
                Some(other) => broken(format!("it sent what nobody asked for: {other:?}")),
                None => broken("it sent results when everything was answered"),
            },
            None => Ok(()),
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

    /// Whether nothing is unanswered.
    pub fn is_settled(&self) -> bool {
        self.deliveries.values().all(Option::is_some)
    }

    fn open_ids(&self) -> Vec<u64> {
        let open = self.deliveries.iter().filter(|(_, answer)| answer.is_none());
        open.map(|(id, _)| *id).collect()
    }

    /// Notes results; gives any other frame back.
    fn take(&mut self, frame: SinkServiceRunRequest) -> Verdict<Option<Up>> {
        match frame.frame {
            Some(Up::Results(results)) => self.results(results).map(|()| None),
            Some(Up::Open(_)) => broken("it sent `open` twice"),
            other => Ok(other),
        }
    }

    fn results(&mut self, results: v1::SinkResults) -> Verdict {
        let mut named = BTreeMap::new();
        for range in &results.acked {
            ensure(range.first <= range.last, || {
                format!("a range ends before it begins: {range:?}")
            })?;
            for id in [range.first, range.last] {
                self.must_be_issued(id)?;
            }
            let covered = self.deliveries.range(range.first..=range.last).map(|(id, _)| *id);
            for id in covered.collect::<Vec<_>>() {
                once(&mut named, id, Answer::Acked)?;
            }
        }
        for failure in results.failures {
            let id = failure.delivery_id;
            self.must_be_issued(id)?;
            let valid = v1::Outcome::try_from(failure.outcome)
                .is_ok_and(|outcome| outcome != v1::Outcome::Unspecified);
            ensure(valid, || format!("the outcome of delivery {id} is not set: {failure:?}"))?;
            // A failure beats a range of its frame.
            named.retain(|named, answer| *named != id || *answer != Answer::Acked);
            once(&mut named, id, Answer::Failed(failure))?;
        }
        for (id, answer) in named {
            match self.deliveries.get_mut(&id) {
                Some(open @ None) => *open = Some(answer),
                _ => return broken(format!("it answered twice for delivery {id}")),
            }
        }
        Ok(())
    }

    fn must_be_issued(&self, id: u64) -> Verdict {
        ensure(self.deliveries.contains_key(&id), || {
            format!("it answered for delivery {id}, which was not issued in this session")
        })
    }
}

fn once(named: &mut BTreeMap<u64, Answer>, id: u64, answer: Answer) -> Verdict {
    match named.insert(id, answer) {
        None => Ok(()),
        Some(_) => broken(format!("it named delivery {id} twice in one frame")),
    }
}

fn shown(ids: &[u64]) -> String {
    match ids {
        [first, .., last] => format!("{first} to {last} ({} of them)", ids.len()),
        [only] => only.to_string(),
        [] => "none".to_owned(),
    }
}
