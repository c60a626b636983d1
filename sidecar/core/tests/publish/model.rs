//! Generated histories of a source session, against a model of plain lists.

use std::collections::BTreeMap;

use danube_sidecar_core::{
    publish::{Accepted, Event, Position, Publish, Settings},
    window::Limits,
};
use proptest::{prelude::*, test_runner::RngAlgorithm};

/// Numbers are taken modulo what is there.
#[derive(Clone, Debug)]
enum Step {
    Send(Vec<Sent>),
    Publish(usize),
    Confirm(usize, bool),
    Commit,
    Persist,
    Listen,
}

/// A record: topic, key and source partition out of a few, 0 being none.
#[derive(Clone, Debug)]
struct Sent {
    topic: u8,
    key: u8,
    source_partition: u8,
    offset: u64,
    bytes: usize,
}

fn step() -> impl Strategy<Value = Step> {
    let sent = (0..2_u8, 0..3_u8, 0..3_u8, any::<u64>(), 1..40_usize).prop_map(
        |(topic, key, source_partition, offset, bytes)| Sent {
            topic,
            key,
            source_partition,
            offset,
            bytes,
        },
    );
    prop_oneof![
        5 => prop::collection::vec(sent, 1..6).prop_map(Step::Send),
        5 => (1..5_usize).prop_map(Step::Publish),
        8 => (any::<usize>(), any::<bool>()).prop_map(|(which, ok)| Step::Confirm(which, ok)),
        4 => Just(Step::Commit),
        4 => Just(Step::Persist),
        3 => Just(Step::Listen),
    ]
}

fn config() -> ProptestConfig {
    ProptestConfig {
        cases: 10_000,
        rng_algorithm: RngAlgorithm::XorShift,
        ..ProptestConfig::default()
    }
}

proptest! {
    #![proptest_config(config())]

    /// Positions are never ahead of what is confirmed, nothing is reported before
    /// it is durable, lanes keep their order, demand is kept, everything commits.
    #[test]
    fn every_history_keeps_the_rules(
        records in 1..8_usize,
        bytes in 1..150_usize,
        max_in_flight in 1..5_usize,
        steps in prop::collection::vec(step(), 1..80),
    ) {
        let window = Limits { records, bytes };
        let mut world = World::new(Settings { window, max_in_flight, max_record_bytes: 35 });
        for step in steps {
            world.take(step);
        }
        world.finish();
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum State {
    Waiting,
    InFlight,
    Confirmed,
}

struct World {
    publish: Publish<u64>,
    settings: Settings,
    /// Number n is at n - 1.
    records: Vec<(Sent, State)>,
    in_flight: Vec<u64>,
    committing: Option<u64>,
    taken: u64,
    persisted: u64,
    committed: u64,
    demand: (u64, u64),
}

impl World {
    fn new(settings: Settings) -> Self {
        Self {
            publish: Publish::new(settings),
            settings,
            records: vec![],
            in_flight: vec![],
            committing: None,
            taken: 0,
            persisted: 0,
            committed: 0,
            demand: (0, 0),
        }
    }

    fn take(&mut self, step: Step) {
        match step {
            Step::Send(sent) => self.send(&sent),
            Step::Publish(count) => self.poll_some(count),
            Step::Confirm(which, ok) => self.confirm(which, ok),
            Step::Commit => self.commit(),
            Step::Persist => self.persist(),
            Step::Listen => self.listen(),
        }
        assert_eq!(self.publish.in_flight(), self.in_flight.len());
        assert_eq!(self.publish.uncommitted() as u64, self.records.len() as u64 - self.persisted);
    }

    fn finish(&mut self) {
        for _ in 0..=self.records.len() {
            while self.poll_publish() {}
            while !self.in_flight.is_empty() {
                self.confirm(0, true);
            }
            self.commit();
            self.persist();
            self.listen();
        }
        assert!(self.publish.settled());
        assert_eq!(self.committed, self.records.len() as u64);
    }

    fn send(&mut self, sent: &[Sent]) {
        let first = self.records.len() as u64 + 1;
        let accepted = sent.iter().enumerate().map(|(at, sent)| accepted(first + at as u64, sent));
        let fits = self.fits(sent);
        assert_eq!(self.publish.accept(first, accepted.collect()).is_ok(), fits);
        if fits {
            self.records.extend(sent.iter().map(|sent| (sent.clone(), State::Waiting)));
        }
    }

    /// Demand may be overshot by one record.
    fn fits(&self, sent: &[Sent]) -> bool {
        let records = self.records.len() + sent.len();
        let mut bytes = self.bytes(self.records.len());
        bytes += sent[..sent.len() - 1].iter().map(|sent| sent.bytes as u64).sum::<u64>();
        records as u64 <= self.demand.0 + 1 && bytes <= self.demand.1
    }

    fn poll_some(&mut self, count: usize) {
        for _ in 0..count {
            if !self.poll_publish() {
                return;
            }
        }
    }

    fn poll_publish(&mut self) -> bool {
        let Some(next) = self.publish.poll_publish() else {
            self.nothing_could_go();
            return false;
        };
        assert_eq!(next.message, next.number);
        let at = next.number as usize - 1;
        assert_eq!(self.records[at].1, State::Waiting);
        assert_eq!(next.oversize, self.records[at].0.bytes > self.settings.max_record_bytes);
        assert!(!self.is_behind(at), "number {} overtakes its lane", next.number);
        self.records[at].1 = State::InFlight;
        self.in_flight.push(next.number);
        assert!(self.in_flight.len() <= self.settings.max_in_flight);
        true
    }

    fn nothing_could_go(&self) {
        let mut waiting =
            (0..self.records.len()).filter(|&at| self.records[at].1 == State::Waiting);
        let full = self.in_flight.len() == self.settings.max_in_flight;
        assert!(full || waiting.all(|at| self.is_behind(at)));
    }

    /// Whether an earlier record of its lane is not confirmed.
    fn is_behind(&self, at: usize) -> bool {
        let lane = lane(&self.records[at].0);
        let mut before = self.records[..at].iter();
        before.any(|(sent, state)| *state != State::Confirmed && self::lane(sent) == lane)
    }

    fn confirm(&mut self, which: usize, ok: bool) {
        if self.in_flight.is_empty() {
            return;
        }
        let number = self.in_flight.swap_remove(which % self.in_flight.len());
        self.records[number as usize - 1].1 = State::Confirmed;
        if ok { self.publish.confirmed(number) } else { self.publish.rejected(number) }
    }

    fn commit(&mut self) {
        let confirmed = self.records.iter().take_while(|(_, state)| *state == State::Confirmed);
        let prefix = confirmed.count() as u64;
        let commit = self.publish.poll_commit();
        let expected = (self.committing.is_none() && prefix > self.persisted).then_some(prefix);
        assert_eq!(commit.as_ref().map(|commit| commit.number), expected);
        let Some(commit) = commit else { return };
        let mut latest = BTreeMap::new();
        for (sent, _) in &self.records[self.taken as usize..prefix as usize] {
            if let Some(position) = position(sent) {
                latest.insert(position.source_partition.clone(), position);
            }
        }
        assert_eq!(commit.positions, latest.into_values().collect::<Vec<_>>());
        (self.committing, self.taken) = (Some(prefix), prefix);
    }

    fn persist(&mut self) {
        let Some(number) = self.committing.take() else { return };
        self.publish.persisted(number);
        self.persisted = number;
    }

    fn listen(&mut self) {
        while let Some(event) = self.publish.poll_event() {
            match event {
                Event::Committed { number } => {
                    assert!(number > self.committed, "told twice");
                    self.committed = number;
                }
                Event::Demand { records, bytes } => self.demand = (records, bytes),
            }
        }
        assert_eq!(self.committed, self.persisted);
        let Limits { records, bytes } = self.settings.window;
        let window_from = (self.persisted, self.bytes(self.persisted as usize));
        assert_eq!(self.demand, (window_from.0 + records as u64, window_from.1 + bytes as u64));
    }

    fn bytes(&self, up_to: usize) -> u64 {
        self.records[..up_to].iter().map(|(sent, _)| sent.bytes as u64).sum()
    }
}

fn accepted(number: u64, sent: &Sent) -> Accepted<u64> {
    Accepted {
        topic: format!("/default/t{}", sent.topic).into(),
        key: (sent.key > 0).then(|| sent.key.to_string().into()),
        position: position(sent),
        bytes: sent.bytes,
        message: number,
    }
}

fn position(sent: &Sent) -> Option<Position> {
    (sent.source_partition > 0).then(|| Position {
        source_partition: sent.source_partition.to_string().into(),
        offset: sent.offset,
        metadata: None,
    })
}

/// Key, else source partition, else topic; all of them per topic.
fn lane(sent: &Sent) -> (u8, u8, u8) {
    let source_partition = if sent.key > 0 { 0 } else { sent.source_partition };
    (sent.topic, sent.key, source_partition)
}
