//! A connector in virtual time: reads the external system from its positions, sends
//! while there is demand, stalls, leaves, comes back, and may die at any moment.

use std::{collections::VecDeque, ops::ControlFlow, sync::Arc, time::Duration};

use bytes::Bytes;
use danube_sidecar::{
    config::{Policy, Producer},
    refusal::Refusal,
    session::{Caller, Capabilities, Fault, FromSource, SourceOpen, SourceRecord},
    source::{Progress, Seat, Source, Told},
};
use danube_sidecar_core::publish;
use rand::{Rng as _, rngs::StdRng};
use tokio::time::sleep;

use super::{
    super::faults::for_polls,
    account::Origin,
    broker::{ORIGIN, written},
    ledger::Ledger,
    upstream::{CONNECTOR, Fate, Place, TOPICS, metadata, name, number},
};

/// More than the sidecar takes.
const OVERSIZE: usize = 4 << 20;

/// One process of the connector.
pub struct Connector {
    pub ledger: Arc<Ledger>,
    pub source: Arc<Source>,
    pub sidecar: usize,
    pub random: StdRng,
}

/// A session, as its connector sees it.
struct Session<'a> {
    connector: &'a mut Connector,
    epoch: u64,
    drains: bool,
    progress: Progress,
    sent: u64,
    sent_bytes: u64,
    /// The next offset to read, by partition.
    next: Vec<u64>,
    draining: bool,
    /// It has said that it sends no more.
    leaving: bool,
    /// Whether it sends one record more than it is asked for.
    overshoots: bool,
}

impl Connector {
    /// Session after session, until a newer one takes over.
    pub async fn live(mut self) {
        while self.session().await.is_continue() {
            let pause = Duration::from_millis(self.random.random_range(0..300));
            sleep(pause).await;
        }
    }

    async fn session(&mut self) -> ControlFlow<()> {
        let drains = self.random.random_bool(0.5);
        self.ledger.lock().left(self.sidecar);
        let policy = Policy::default();
        // Some are dropped while they open.
        let early = self.random.random_bool(0.2);
        let polls = if early { self.random.random_range(0..8) } else { u32::MAX };
        let opening = for_polls("source open", polls, self.source.open(self.open(drains), &policy));
        let Some(Ok(seat)) = opening.await else {
            return ControlFlow::Continue(());
        };
        let mut session = Session::of(self, &seat, drains);
        match session.run(seat).await {
            Some(Refusal::Superseded { .. }) => ControlFlow::Break(()),
            _ => ControlFlow::Continue(()),
        }
    }

    fn open(&self, drain: bool) -> SourceOpen {
        let ledger = self.ledger.lock();
        let topics = if ledger.mended && ledger.fails() { &TOPICS[..] } else { &TOPICS[..2] };
        let producers = topics.iter().map(|topic| Producer {
            topic: topic.parse().expect("a topic"),
            partitions: 0,
            reliable: true,
            schema_subject: None,
        });
        let capabilities = Capabilities { drain, ..Capabilities::default() };
        let connector = CONNECTOR.to_owned();
        let caller = Caller { connector, capabilities, ..Caller::default() };
        SourceOpen { caller, producers: producers.collect() }
    }
}

impl<'a> Session<'a> {
    fn of(connector: &'a mut Connector, seat: &Seat, drains: bool) -> Self {
        let mut ledger = connector.ledger.lock();
        ledger.opened(connector.sidecar, seat.epoch, &seat.positions);
        let committed = |partition: &super::upstream::Partition| partition.committed;
        let mut next: Vec<u64> = ledger.partitions.iter().map(committed).collect();
        for (at, partition) in ledger.partitions.iter().enumerate() {
            if partition.positioned {
                next[at] = 0;
            }
        }
        for position in &seat.positions {
            if let Some(at) = number(&position.source_partition) {
                next[at] = position.offset + 1;
            }
        }
        drop(ledger);
        Self {
            epoch: seat.epoch,
            drains,
            progress: Progress::default(),
            sent: 0,
            sent_bytes: 0,
            next,
            draining: false,
            leaving: false,
            overshoots: connector.random.random_bool(0.25),
            connector,
        }
    }

    /// Sends until the sidecar ends the session; tells why it did.
    async fn run(&mut self, mut seat: Seat) -> Option<Refusal> {
        let mut changes = self.connector.ledger.changes.subscribe();
        loop {
            let pause = self.pause();
            let may_send = self.may_send();
            tokio::select! {
                biased;
                told = seat.news.next() => match told {
                    Told::Progress(progress) => self.told(progress),
                    Told::Rejected(rejected) => self.rejected(rejected.number),
                    Told::Drain(_) => self.draining |= self.drains,
                    Told::Probe(_) => {}
                    Told::End(end) => return self.ended(end),
                },
                _ = changes.changed(), if !may_send => {}
                () = sleep(pause), if may_send => {
                    let frame = self.frame();
                    if seat.said.send(frame).await.is_err() {
                        self.leaving = true;
                    }
                }
            }
        }
    }

    fn may_send(&self) -> bool {
        !self.leaving && (self.draining || (self.room() > 0 && self.has_more()))
    }

    /// Mostly nothing, sometimes a stall.
    fn pause(&mut self) -> Duration {
        let random = &mut self.connector.random;
        let most = if random.random_bool(0.01) { 12_000_000 } else { 2000 };
        Duration::from_micros(random.random_range(0..most))
    }

    /// Records that may be sent: bytes may be overshot by one, and so may records.
    fn room(&self) -> u64 {
        let most = self.progress.demand_records + u64::from(self.overshoots);
        let records = most.saturating_sub(self.sent);
        let bytes = self.sent_bytes < self.progress.demand_bytes;
        if bytes && self.progress.demand_records > 0 { records } else { 0 }
    }

    fn has_more(&self) -> bool {
        let ledger = self.connector.ledger.lock();
        let mut partitions = ledger.partitions.iter().zip(&self.next);
        partitions.any(|(partition, &next)| next < partition.entries.len() as u64)
    }

    fn told(&mut self, progress: Progress) {
        self.progress = progress;
        let mut ledger = self.connector.ledger.lock();
        let most = progress.committed + ledger.rules.window as u64;
        ledger.require(progress.demand_records <= most, || {
            format!("demand is {progress:?}, more than {most}")
        });
        ledger.told(self.epoch, progress.committed);
    }

    fn rejected(&mut self, number: u64) {
        self.connector.ledger.lock().session(self.epoch).rejected.insert(number);
    }

    fn ended(&self, end: Option<Refusal>) -> Option<Refusal> {
        let mut ledger = self.connector.ledger.lock();
        ledger.note(format!("epoch {} ended: {end:?}", self.epoch));
        let fails = ledger.fails();
        let expected = match &end {
            None => self.leaving,
            Some(Refusal::Superseded { .. } | Refusal::ShuttingDown) => true,
            Some(Refusal::Unpublishable { .. }) => fails,
            Some(_) => false,
        };
        ledger.require(expected, || format!("epoch {} was sent away: {end:?}", self.epoch));
        end
    }

    /// Records, or the last frame.
    fn frame(&mut self) -> FromSource {
        if self.draining || self.connector.random.random_bool(0.01) {
            self.leaving = true;
            self.connector.ledger.lock().session(self.epoch).left =
                Some(tokio::time::Instant::now());
            if self.draining || self.connector.random.random_bool(0.5) {
                return FromSource::Drained;
            }
            return FromSource::Fault(Fault { code: "TEST".to_owned(), message: String::new() });
        }
        let first_number = self.sent + 1;
        let most = self.connector.random.random_range(1..8).min(self.room());
        let mut records = VecDeque::new();
        while (records.len() as u64) < most && self.room() > 0 {
            let Some(place) = self.read() else { break };
            records.push_back(self.record(place));
        }
        FromSource::Records { first_number, records: records.into() }
    }

    /// The next entry, from any partition that has more.
    fn read(&mut self) -> Option<Place> {
        let ledger = self.connector.ledger.lock();
        let count = self.next.len();
        let first = self.connector.random.random_range(0..count);
        let mut partitions = (0..count).map(|step| (first + step) % count);
        let has_more = |&at: &usize| self.next[at] < ledger.partitions[at].entries.len() as u64;
        let partition = partitions.find(has_more)?;
        let place = Place { partition, offset: self.next[partition] };
        self.next[partition] += 1;
        Some(place)
    }

    fn record(&mut self, place: Place) -> SourceRecord {
        let mut ledger = self.connector.ledger.lock();
        self.sent += 1;
        let number = self.sent;
        ledger.session(self.epoch).sent.push(place);
        let mended = ledger.mended && ledger.fails();
        let positioned = ledger.partitions[place.partition].positioned;
        let entry = ledger.entry(place);
        let (bad, oversize) = (entry.fate != Fate::Well, entry.fate == Fate::Oversize && !mended);
        let encoded_len = if oversize { OVERSIZE } else { 40 + place.offset as usize % 50 };
        let topic = TOPICS[entry.topic].to_owned();
        let key = entry.key.map(|key| key.to_string());
        // Such a session ends with what is behind it unsettled.
        let fails = ledger.fails();
        ledger.session(self.epoch).excused |= bad && fails;
        self.sent_bytes += encoded_len as u64;
        let origin = written(Origin { epoch: self.epoch, number, place });
        let lie = ("x-source-offset".to_owned(), "a lie".to_owned());
        SourceRecord {
            topic,
            payload: Bytes::from_static(b"payload"),
            key,
            attributes: vec![(ORIGIN.to_owned(), origin), lie],
            position: positioned.then(|| publish::Position {
                source_partition: name(place.partition).into(),
                offset: place.offset,
                metadata: metadata(place.offset),
            }),
            encoded_len,
        }
    }
}
