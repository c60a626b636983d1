//! The source of a round, a process of its own: sends the sequence, resumes only at
//! the positions that `opened` tells, and ends when everything is committed.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use anyhow::Context as _;
use danube_connector_proto::v1::{
    Capability, Drained, Position, SourceOpen, SourceRecord, SourceRecords,
    SourceServiceRunRequest, source_service_client::SourceServiceClient,
    source_service_run_request::Frame as Out, source_service_run_response::Frame as In,
};
use tokio::{
    sync::mpsc,
    time::{Instant, sleep, sleep_until},
};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::transport::Endpoint;

use crate::{
    journal::{Journal, Seen},
    patience,
    sequence::{Fate, Planned, Sequence},
};

/// Most records of a frame.
const FRAME: u64 = 10;
/// The pause before a lost sidecar is dialled again.
const REDIAL: Duration = Duration::from_millis(20);

/// The command line of a source.
#[derive(Debug, clap::Args)]
pub struct SourceArgs {
    /// Where the sidecar is.
    #[arg(long)]
    address: String,
    /// The connector's name.
    #[arg(long)]
    connector: String,
    /// Where positions go.
    #[arg(long)]
    journal: PathBuf,
    /// The records, as JSON.
    #[arg(long)]
    sequence: String,
    /// How long reading a record takes.
    #[arg(long)]
    microseconds: u64,
    /// A file that is there once the record that kills sinks was found out.
    #[arg(long)]
    found: PathBuf,
}

/// Runs until everything is committed, or SIGTERM.
pub async fn run(args: SourceArgs, stop: CancellationToken) -> anyhow::Result<()> {
    let sequence: Sequence = serde_json::from_str(&args.sequence)?;
    let mut source =
        Source { all: sequence.all(), journal: Journal::open(&args.journal)?, done: false, args };
    while !source.done && !stop.is_cancelled() {
        patience::session_ended(source.session(&stop).await)?;
        sleep(REDIAL).await;
    }
    Ok(())
}

/// A killer is found out only while others succeed: until then the last records come
/// one by one, so slowly.
const SLOW_TAIL: u64 = 150;
const SLOW: Duration = Duration::from_millis(60);

struct Source {
    args: SourceArgs,
    all: Vec<Planned>,
    journal: Journal,
    done: bool,
}

/// How far a session is.
struct Session {
    epoch: u64,
    requests: mpsc::Sender<SourceServiceRunRequest>,
    /// What it has to send.
    left: Vec<Planned>,
    /// What is committed, from this session and those before.
    positions: BTreeMap<u64, u64>,
    sent: u64,
    committed: u64,
    demand: u64,
    next: Instant,
    leaving: bool,
}

impl Source {
    async fn session(&mut self, stop: &CancellationToken) -> anyhow::Result<()> {
        let endpoint = Endpoint::from_shared(self.args.address.clone())?;
        let endpoint = endpoint.connect_timeout(Duration::from_secs(1));
        let channel = patience::answer("to a dial", endpoint.connect()).await??;
        let (requests, outgoing) = mpsc::channel(64);
        let mut session = Session::new(requests);
        session.send(Out::Open(self.open())).await?;
        let mut client = SourceServiceClient::new(channel);
        let run = client.run(ReceiverStream::new(outgoing));
        let mut responses = patience::call(run).await??.into_inner();
        loop {
            let response = tokio::select! {
                response = patience::next(&mut responses, session.epoch > 0) => response?,
                () = sleep_until(session.next), if session.may_send() => {
                    let (most, took) = self.pace(&session);
                    session.send_some(most, took).await?;
                    continue;
                }
                () = stop.cancelled(), if !session.leaving => {
                    session.leave().await?;
                    continue;
                }
            };
            let Some(response) = response else { return Ok(()) };
            match response.frame {
                Some(In::Opened(opened)) => {
                    session.epoch = opened.epoch;
                    session.positions = positions(&opened.positions)?;
                    session.left = self.after(&session.positions);
                    let (epoch, positions) = (opened.epoch, session.positions.clone());
                    self.journal.append(&[Seen::Opened { epoch, positions }])?;
                    self.end_if_done(&mut session).await?;
                }
                Some(In::Demand(demand)) => session.demand = demand.records,
                Some(In::Committed(committed)) => {
                    self.journal.append(&[session.commit(committed.number)?])?;
                    self.end_if_done(&mut session).await?;
                }
                Some(In::Drain(_)) if !session.leaving => session.leave().await?,
                _ => {}
            }
        }
    }

    /// How many records go together, and how long each takes.
    fn pace(&self, session: &Session) -> (u64, Duration) {
        let left = session.left.len() as u64 - session.sent;
        let kills = self.all.iter().any(|record| record.fate == Fate::Kills);
        if kills && left <= SLOW_TAIL && !self.args.found.exists() {
            return (1, SLOW);
        }
        (FRAME, Duration::from_micros(self.args.microseconds))
    }

    fn open(&self) -> SourceOpen {
        SourceOpen {
            connector: self.args.connector.clone(),
            capabilities: vec![Capability::Drain.into()],
            ..SourceOpen::default()
        }
    }

    /// What is not committed yet.
    fn after(&self, positions: &BTreeMap<u64, u64>) -> Vec<Planned> {
        let committed = |record: &Planned| {
            let (partition, offset) = record.place;
            positions.get(&partition).is_some_and(|position| offset <= *position)
        };
        self.all.iter().filter(|record| !committed(record)).cloned().collect()
    }

    async fn end_if_done(&mut self, session: &mut Session) -> anyhow::Result<()> {
        if session.committed < session.left.len() as u64 {
            return Ok(());
        }
        self.done = true;
        if session.leaving { Ok(()) } else { session.leave().await }
    }
}

impl Session {
    fn new(requests: mpsc::Sender<SourceServiceRunRequest>) -> Self {
        Self {
            epoch: 0,
            requests,
            left: Vec::new(),
            positions: BTreeMap::new(),
            sent: 0,
            committed: 0,
            demand: 0,
            next: Instant::now(),
            leaving: false,
        }
    }

    async fn send(&self, frame: Out) -> anyhow::Result<()> {
        let request = SourceServiceRunRequest { frame: Some(frame) };
        self.requests.send(request).await.context("the stream is gone")
    }

    async fn leave(&mut self) -> anyhow::Result<()> {
        self.leaving = true;
        self.send(Out::Drained(Drained {})).await
    }

    fn may_send(&self) -> bool {
        !self.leaving && self.sent < self.demand.min(self.left.len() as u64)
    }

    async fn send_some(&mut self, most: u64, each: Duration) -> anyhow::Result<()> {
        let until = (self.sent + most).min(self.demand).min(self.left.len() as u64);
        let some = &self.left[self.sent as usize..until as usize];
        let records: Vec<SourceRecord> = some.iter().map(record).collect();
        self.next = Instant::now() + each * records.len() as u32;
        let first_number = self.sent + 1;
        self.sent = until;
        self.send(Out::Records(SourceRecords { first_number, records })).await
    }

    fn commit(&mut self, number: u64) -> anyhow::Result<Seen> {
        let newly = self.left.get(self.committed as usize..number as usize);
        let newly = newly.context("more is committed than was sent")?;
        self.positions.extend(newly.iter().map(|record| record.place));
        self.committed = number;
        Ok(Seen::Committed { epoch: self.epoch, number, positions: self.positions.clone() })
    }
}

fn positions(told: &[Position]) -> anyhow::Result<BTreeMap<u64, u64>> {
    let pairs = told.iter().map(|p| Ok((p.source_partition.parse()?, p.offset)));
    pairs.collect::<Result<_, std::num::ParseIntError>>().context("a source partition of ours")
}

fn record(planned: &Planned) -> SourceRecord {
    let (partition, offset) = planned.place;
    SourceRecord {
        payload: format!("record {} of the external system", planned.index).into(),
        key: planned.key.clone(),
        position: Some(Position {
            source_partition: partition.to_string(),
            offset,
            metadata: None,
        }),
        ..SourceRecord::default()
    }
}
