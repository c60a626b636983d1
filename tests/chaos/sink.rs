//! The sink of a round, a process of its own: writes each effect to the journal
//! before it acks, and misbehaves as the sequence says.

use std::{
    collections::{HashMap, VecDeque},
    path::PathBuf,
    time::Duration,
};

use anyhow::Context as _;
use danube_connector_proto::v1::{
    Capability, DeliveryRange, Drained, Outcome, SinkBatch, SinkFailure, SinkOpen, SinkRecord,
    SinkResults, SinkServiceRunRequest, sink_service_client::SinkServiceClient,
    sink_service_run_request::Frame as Out, sink_service_run_response::Frame as In,
};
use tokio::{sync::mpsc, time::sleep};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::transport::Endpoint;

use crate::{
    journal::{Handled, Journal, What},
    patience,
    random::Random,
    sequence::{Fate, Place, Planned, Sequence},
};

/// What a rejected record's dead letter must say.
pub const REJECT_CODE: &str = "CHAOS_REJECT";

/// Records that are answered together.
const PART: usize = 7;
/// The pause before a lost sidecar is dialled again.
const REDIAL: Duration = Duration::from_millis(20);

/// The command line of a sink.
#[derive(Debug, clap::Args)]
pub struct SinkArgs {
    /// Where the sidecar is.
    #[arg(long)]
    address: String,
    /// The connector's name.
    #[arg(long)]
    connector: String,
    /// This worker's name.
    #[arg(long)]
    worker: String,
    /// Where effects go.
    #[arg(long)]
    journal: PathBuf,
    /// The records, as JSON.
    #[arg(long)]
    sequence: String,
    /// How long writing a record takes.
    #[arg(long)]
    microseconds: u64,
}

/// Runs until SIGTERM.
pub async fn run(args: SinkArgs, stop: CancellationToken) -> anyhow::Result<()> {
    let sequence: Sequence = serde_json::from_str(&args.sequence)?;
    let mut sink = Sink {
        planned: sequence.by_place(),
        journal: Journal::open(&args.journal)?,
        random: Random::new(sequence.seed, u64::from(std::process::id())),
        held: HashMap::new(),
        args,
    };
    while !stop.is_cancelled() {
        patience::session_ended(sink.session(&stop).await)?;
        sleep(REDIAL).await;
    }
    Ok(())
}

struct Sink {
    args: SinkArgs,
    planned: HashMap<Place, Planned>,
    journal: Journal,
    random: Random,
    /// By key: the records that failed here and are to come again, in order. What
    /// is in hand behind them must not be written before.
    held: HashMap<String, VecDeque<String>>,
}

/// The session in which records come.
struct Session {
    id: String,
    epoch: u64,
    requests: mpsc::Sender<SinkServiceRunRequest>,
}

impl Session {
    async fn send(&self, frame: Out) -> anyhow::Result<()> {
        let request = SinkServiceRunRequest { frame: Some(frame) };
        self.requests.send(request).await.context("the stream is gone")
    }
}

impl Sink {
    async fn session(&mut self, stop: &CancellationToken) -> anyhow::Result<()> {
        self.held.clear();
        let endpoint = Endpoint::from_shared(self.args.address.clone())?;
        let endpoint = endpoint.connect_timeout(Duration::from_secs(1));
        let channel = patience::answer("to a dial", endpoint.connect()).await??;
        let (requests, outgoing) = mpsc::channel(64);
        let mut session = Session { id: String::new(), epoch: 0, requests };
        session.send(Out::Open(self.open())).await?;
        let mut client = SinkServiceClient::new(channel);
        let run = client.run(ReceiverStream::new(outgoing));
        let mut responses = patience::call(run).await??.into_inner();
        let mut leaving = false;
        loop {
            let response = tokio::select! {
                response = patience::next(&mut responses, session.epoch > 0) => response?,
                () = stop.cancelled(), if !leaving => {
                    // What was written is answered for; what still comes is not ours.
                    leaving = true;
                    session.send(Out::Drained(Drained {})).await?;
                    continue;
                }
            };
            let Some(response) = response else { return Ok(()) };
            match response.frame {
                Some(In::Opened(opened)) => {
                    session.id = opened.session_id;
                    session.epoch = opened.epoch;
                }
                Some(In::Batch(batch)) if !leaving => self.batch(&session, batch).await?,
                Some(In::Drain(_)) if !leaving => {
                    session.send(Out::Drained(Drained {})).await?;
                }
                _ => {}
            }
        }
    }

    fn open(&self) -> SinkOpen {
        SinkOpen {
            connector: self.args.connector.clone(),
            worker_id: self.args.worker.clone(),
            capabilities: vec![Capability::Drain.into()],
            ..SinkOpen::default()
        }
    }

    /// Writes a batch in another order than it came in (each key's records stay in
    /// theirs), and answers part by part.
    async fn batch(&mut self, session: &Session, batch: SinkBatch) -> anyhow::Result<()> {
        let records = self.scattered(batch.records);
        for part in records.chunks(PART) {
            sleep(Duration::from_micros(self.args.microseconds * part.len() as u64)).await;
            let mut results = SinkResults::default();
            let mut handled = Vec::with_capacity(part.len());
            for record in part {
                let line = self.handle(session, record)?;
                results.add(record, line.what);
                let deadly = line.what == What::Death;
                handled.push(line);
                if deadly {
                    self.journal.append(&handled)?;
                    std::process::abort();
                }
            }
            self.journal.append(&handled)?;
            session.send(Out::Results(results)).await?;
        }
        Ok(())
    }

    fn scattered(&mut self, records: Vec<SinkRecord>) -> Vec<SinkRecord> {
        let mut groups: Vec<Vec<SinkRecord>> = Vec::new();
        let mut by_key: HashMap<String, usize> = HashMap::new();
        for record in records {
            let known = record.key.as_ref().and_then(|key| by_key.get(key)).copied();
            let index = known.unwrap_or(groups.len());
            if let (None, Some(key)) = (known, &record.key) {
                by_key.insert(key.clone(), index);
            }
            if index == groups.len() {
                groups.push(Vec::new());
            }
            groups[index].push(record);
        }
        self.random.shuffle(&mut groups);
        groups.into_iter().flatten().collect()
    }

    fn handle(&mut self, session: &Session, record: &SinkRecord) -> anyhow::Result<Handled> {
        let place = place_of(record)?;
        let planned = self.planned.get(&place).context("a record that nobody published")?;
        let what = match planned.fate {
            Fate::Written { failures } if record.attempt <= failures => What::Retry,
            Fate::Written { .. } => What::Effect,
            Fate::Rejected => What::Reject,
            Fate::Filtered => What::Filter,
            Fate::Kills => What::Death,
        };
        Ok(Handled {
            what: self.in_turn(record, what),
            dedup_id: record.dedup_id.clone(),
            partition: record.partition_topic.clone(),
            offset: record.offset,
            publish_time_ms: record.publish_time_ms,
            place,
            key: record.key.clone(),
            attempt: record.attempt,
            epoch: session.epoch,
            session: session.id.clone(),
            worker: self.args.worker.clone(),
        })
    }

    /// What is behind a failed record of its key fails with it.
    fn in_turn(&mut self, record: &SinkRecord, what: What) -> What {
        let Some(key) = &record.key else { return what };
        let held = self.held.entry(key.clone()).or_default();
        let first = held.front().is_none_or(|front| *front == record.dedup_id);
        let what = if first { what } else { What::Retry };
        match what {
            What::Retry if !held.contains(&record.dedup_id) => {
                held.push_back(record.dedup_id.clone());
            }
            What::Retry => {}
            _ => _ = held.pop_front(),
        }
        what
    }
}

/// Adds what became of a record.
trait Add {
    fn add(&mut self, record: &SinkRecord, what: What);
}

impl Add for SinkResults {
    fn add(&mut self, record: &SinkRecord, what: What) {
        let (outcome, code) = match what {
            What::Effect | What::Death => {
                let id = record.delivery_id;
                return self.acked.push(DeliveryRange { first: id, last: id });
            }
            What::Retry => (Outcome::Retry, "CHAOS_RETRY"),
            What::Reject => (Outcome::Reject, REJECT_CODE),
            What::Filter => (Outcome::Filtered, "CHAOS_FILTER"),
        };
        self.failures.push(SinkFailure {
            delivery_id: record.delivery_id,
            outcome: outcome.into(),
            code: code.to_owned(),
            message: "as the sequence says".to_owned(),
            ..SinkFailure::default()
        });
    }
}

/// The record's place in the external system, as the sidecar says it.
fn place_of(record: &SinkRecord) -> anyhow::Result<Place> {
    let number = |name: &str| -> anyhow::Result<u64> {
        let value = record.attributes.get(name).with_context(|| format!("{name} is missing"))?;
        Ok(value.parse()?)
    };
    Ok((number("x-source-partition")?, number("x-source-offset")?))
}
