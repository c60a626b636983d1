//! Sinks that are killed again and again, in virtual time: by records, from outside,
//! or both. Whoever kills nobody is never taken for a killer, and everything ends.

use std::{
    collections::{BTreeSet, VecDeque},
    time::{Duration, Instant},
};

use danube_sidecar_core::{
    dispatch::{Departure, Event, Offer, Ordering, Settings, WorkerId},
    outcome::{DeliveryId, FailureClass, Outcome, Resolution},
    retry::SplitMix,
};

use crate::support::*;

const TRICKLE: Duration = Duration::from_secs(1);

/// What a sink lives through.
struct Life {
    ordering: Ordering,
    workers: usize,
    window: usize,
    records: u64,
    keys: u64,
    killers: BTreeSet<u64>,
    /// What a worker needs for a record, and until a worker is back.
    work: Duration,
    restart: Duration,
    /// The mean time between kills from outside, and how long they go on.
    kills: Option<(Duration, Duration)>,
    /// Nothing can be written for that long.
    outage: Duration,
}

impl Default for Life {
    fn default() -> Self {
        Self {
            ordering: Ordering::Key,
            workers: 2,
            window: 100,
            records: 1000,
            keys: 50,
            killers: BTreeSet::new(),
            work: Duration::from_millis(2),
            restart: Duration::from_millis(50),
            kills: None,
            outage: Duration::ZERO,
        }
    }
}

/// How it ended.
#[derive(Debug, Default)]
struct Account {
    acked: BTreeSet<u64>,
    convicted: BTreeSet<u64>,
    crashes: u32,
    trickled: u32,
    took: Duration,
}

/// A process of the connector: works on one record after the other.
struct Process {
    id: Option<WorkerId>,
    /// When it is back, or done with its current record.
    next: Instant,
    queue: VecDeque<Offer>,
}

struct Sim {
    life: Life,
    bench: Bench,
    start: Instant,
    random: SplitMix,
    processes: Vec<Process>,
    next_kill: Option<Instant>,
    account: Account,
}

impl Life {
    fn live(self, seed: u64) -> Account {
        let bench = Bench::new(Settings { ordering: self.ordering, ..settings() });
        let (start, mut random) = (bench.now, SplitMix::new(seed));
        let process = |_| Process { id: None, next: start, queue: Default::default() };
        let processes = (0..self.workers).map(process).collect();
        let next_kill = self.kills.map(|(mean, _)| start + exponential(mean, &mut random));
        let account = Account::default();
        let mut sim = Sim { life: self, bench, start, random, processes, next_kill, account };
        sim.run();
        sim.account
    }
}

/// A random time with this mean.
fn exponential(mean: Duration, random: &mut SplitMix) -> Duration {
    let uniform = ((random.next_u64() >> 11) as f64 + 1.0) / (1_u64 << 53) as f64;
    mean.mul_f64(-uniform.ln())
}

impl Sim {
    fn run(&mut self) {
        for offset in 0..self.life.records {
            let key = format!("k{}", self.random.next_u64() % self.life.keys);
            self.bench.admit(Some(&key), [offset]);
        }
        while self.bench.dispatch.unresolved() > 0 {
            self.trickle();
            self.carry_out();
            self.bench.now = self.next_moment();
            self.bench.dispatch.advance(self.bench.now);
            self.happen();
        }
        self.carry_out();
        self.account.took = self.bench.now - self.start;
    }

    /// New records keep coming: without one that succeeds nobody is convicted.
    fn trickle(&mut self) {
        while self.start + TRICKLE * (self.account.trickled + 1) <= self.bench.now {
            self.bench.admit(None, [self.life.records + u64::from(self.account.trickled)]);
            self.account.trickled += 1;
        }
    }

    fn carry_out(&mut self) {
        loop {
            while let Some((id, batch)) = self.bench.dispatch.poll_any(self.bench.now) {
                let process = self.processes.iter_mut().find(|process| process.id == Some(id));
                let process = process.expect("a worker that is there");
                if process.queue.is_empty() {
                    process.next = self.bench.now + self.life.work;
                }
                process.queue.extend(batch);
            }
            let events = self.bench.events();
            if events.is_empty() {
                return;
            }
            for event in events {
                self.event(event);
            }
        }
    }

    fn event(&mut self, event: Event) {
        match event {
            Event::Resolved { offset, how: Resolution::Acked, .. } => {
                assert!(self.account.acked.insert(offset));
            }
            Event::DeadLetter(letter) => {
                assert_eq!(letter.class, FailureClass::Crash);
                self.account.convicted.insert(letter.record.identity.offset);
                self.bench.dispatch.dead_lettered(self.bench.now, letter.id);
            }
            _ => {}
        }
    }

    fn next_moment(&self) -> Instant {
        let busy = self.processes.iter().filter(|p| p.id.is_none() || !p.queue.is_empty());
        let trickle = self.start + TRICKLE * (self.account.trickled + 1);
        let moments = busy.map(|process| process.next).chain(self.next_kill).chain([trickle]);
        let next = moments.chain(self.bench.dispatch.next_wakeup(self.bench.now)).min();
        let next = next.unwrap_or_else(|| panic!("stuck: {:?}", self.bench.dispatch.status()));
        assert!(next - self.start < Duration::from_secs(36_000), "it never ends");
        next.max(self.bench.now)
    }

    fn happen(&mut self) {
        let now = self.bench.now;
        for at in 0..self.processes.len() {
            let process = &self.processes[at];
            match process.id {
                _ if process.next > now => {}
                None => self.processes[at].id = Some(self.bench.join(window(self.life.window))),
                Some(id) => self.work(at, id),
            }
        }
        if self.next_kill.is_some_and(|at| at <= now) {
            self.kill();
        }
    }

    fn work(&mut self, at: usize, id: WorkerId) {
        let process = &mut self.processes[at];
        let Some(offer) = process.queue.pop_front() else { return };
        process.next = self.bench.now + self.life.work;
        let DeliveryId(delivery) = offer.delivery;
        if self.life.killers.contains(&offer.record.identity.offset) {
            return self.crash(at);
        }
        if self.bench.now < self.start + self.life.outage {
            return self.bench.fail(id, delivery, Outcome::Retry { after: None });
        }
        self.bench.ack(id, delivery);
    }

    fn kill(&mut self) {
        let at = self.random.next_u64() as usize % self.processes.len();
        self.crash(at);
        let (mean, until) = self.life.kills.expect("it is killed from outside");
        let next = self.bench.now + exponential(mean, &mut self.random);
        self.next_kill = Some(next).filter(|&next| next < self.start + until);
    }

    fn crash(&mut self, at: usize) {
        let process = &mut self.processes[at];
        process.queue.clear();
        process.next = self.bench.now + self.life.restart;
        if let Some(id) = process.id.take() {
            self.account.crashes += 1;
            self.bench.dispatch.leave(self.bench.now, id, Departure::Crashed);
        }
    }
}

fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

#[test]
fn killers_are_found_and_nobody_else() {
    for seed in 0..20 {
        let killers: BTreeSet<_> = [0, 17, 18, 500, 999].into();
        let account = Life { killers: killers.clone(), ..Life::default() }.live(seed);
        assert_eq!(account.convicted, killers);
        assert_eq!(account.acked.len() as u32, 995 + account.trickled);
        assert!(account.took < Duration::from_secs(60), "{account:?}");
    }
}

#[test]
fn a_sink_that_is_killed_from_outside_again_and_again_wrongs_nobody() {
    for seed in 0..500 {
        let mean = millis([50, 100, 300, 1000, 3000][seed as usize % 5]);
        let window = [1, 10, 1000][seed as usize % 3];
        let workers = 1 + seed as usize % 2;
        let kills = Some((mean, Duration::from_secs(20)));
        let account = Life { kills, window, workers, ..Life::default() }.live(seed);
        assert_eq!(account.convicted, BTreeSet::new(), "seed {seed}: {}", account.crashes);
    }
}

#[test]
fn a_slow_sink_that_is_killed_from_outside_wrongs_nobody() {
    for seed in 0..100 {
        let work = millis([20, 100, 500][seed as usize % 3]);
        let kills = Some((Duration::from_secs(1), Duration::from_secs(20)));
        let account = Life { kills, work, records: 100, ..Life::default() }.live(seed);
        assert_eq!(account.convicted, BTreeSet::new(), "seed {seed}: {}", account.crashes);
    }
}

#[test]
fn killers_are_found_while_others_kill_too() {
    for seed in 0..20 {
        let killers: BTreeSet<_> = [3, 700].into();
        let kills = Some((Duration::from_secs(1), Duration::from_secs(20)));
        let account = Life { killers: killers.clone(), kills, ..Life::default() }.live(seed);
        assert_eq!(account.convicted, killers);
        assert!(account.took < Duration::from_secs(60), "{account:?}");
    }
}

#[test]
fn all_of_a_partition_in_order_survives_kills_and_outages() {
    for seed in 0..20 {
        let kills = Some((millis(300), Duration::from_secs(20)));
        let outage = Duration::from_secs(10);
        let ordering = Ordering::Partition;
        let account = Life { kills, outage, ordering, ..Life::default() }.live(seed);
        assert_eq!(account.convicted, BTreeSet::new());
    }
}

#[test]
fn after_an_outage_of_any_length_everything_flows_within_five_seconds() {
    for (seed, seconds) in [1, 3, 10, 60, 600, 3600].into_iter().enumerate() {
        for records in [1, 5, 1000] {
            let outage = Duration::from_secs(seconds);
            let account = Life { outage, records, ..Life::default() }.live(seed as u64);
            let work = millis(2) * (records + 10) as u32;
            let after = account.took.saturating_sub(outage);
            assert!(after < Duration::from_secs(5) + work, "{seconds} s, {records}: {after:?}");
        }
    }
}
