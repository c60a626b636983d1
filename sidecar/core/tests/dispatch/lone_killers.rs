//! A record that kills its workers and is all there is: in a single lane nothing else can
//! succeed. The external system is asked, or time tells; who is only in hand when workers
//! die of something else is never taken for a killer.

use std::time::{Duration, Instant};

use danube_sidecar_core::{
    dispatch::{Departure, Event, Health, Offer, Ordering, Settings, WorkerId, WorkerSettings},
    outcome::{FailureClass, Outcome, Resolution},
    retry::SplitMix,
};

use crate::support::*;

/// A sink with one worker at a time, and the records 0, 1 and 2 of one partition.
#[derive(Clone, Copy)]
struct Life {
    /// What a worker says of its external system, where it can.
    health: fn(down: bool) -> Option<Health>,
    /// The record that kills its workers.
    killer: Option<u64>,
    /// Until then nothing can be written, and workers die of it.
    outage: Duration,
    /// The mean time between kills from outside, and until when they come.
    kills: Option<(Duration, Duration)>,
    /// What a record takes.
    work: Duration,
}

const RESTART: Duration = Duration::from_millis(500);

fn honest(down: bool) -> Option<Health> {
    Some(if down { Health::Unwell } else { Health::Well })
}

fn blind(_: bool) -> Option<Health> {
    None
}

impl Default for Life {
    fn default() -> Self {
        let work = Duration::from_millis(5);
        Self { health: honest, killer: None, outage: Duration::ZERO, kills: None, work }
    }
}

/// How it ended.
#[derive(Debug, Default)]
struct Account {
    acked: Vec<u64>,
    convicted: Vec<u64>,
    crashes: u32,
    took: Duration,
}

struct Sim {
    life: Life,
    bench: Bench,
    start: Instant,
    worker: Option<WorkerId>,
    in_hand: Vec<Offer>,
    /// When the worker is back, or done with its first record.
    next: Instant,
    kill: Option<Instant>,
    random: SplitMix,
    account: Account,
}

impl Life {
    fn live(self, seed: u64) -> Account {
        let bench = Bench::new(Settings { ordering: Ordering::Partition, ..settings() });
        let (start, random) = (bench.now, SplitMix::new(seed));
        let (worker, in_hand, kill) = (None, vec![], None);
        let account = Account::default();
        let mut sim =
            Sim { life: self, bench, start, worker, in_hand, next: start, kill, random, account };
        sim.run();
        sim.account
    }
}

impl Sim {
    fn run(&mut self) {
        self.bench.admit(None, 0..3);
        self.plan_kill();
        loop {
            self.happen();
            self.carry_out();
            if self.bench.dispatch.unresolved() == 0 {
                break;
            }
            self.bench.now = self.next_moment();
            self.bench.dispatch.advance(self.bench.now);
            assert!(self.passed() < Duration::from_secs(7200), "it never ends: {:?}", self.account);
        }
        self.account.took = self.passed();
    }

    fn passed(&self) -> Duration {
        self.bench.now - self.start
    }

    fn next_moment(&self) -> Instant {
        let busy = self.worker.is_none() || !self.in_hand.is_empty();
        let wakeup = self.bench.dispatch.next_wakeup(self.bench.now);
        let moments = busy.then_some(self.next).into_iter().chain(self.kill).chain(wakeup);
        moments.min().expect("something is to come").max(self.bench.now)
    }

    fn happen(&mut self) {
        let now = self.bench.now;
        if self.kill.is_some_and(|at| at <= now) {
            self.plan_kill();
            self.crash();
        }
        match self.worker {
            _ if self.next > now => {}
            None => self.join(),
            Some(id) => self.work(id),
        }
    }

    fn plan_kill(&mut self) {
        let Some((mean, until)) = self.life.kills else { return };
        let uniform = ((self.random.next_u64() >> 11) as f64 + 1.0) / (1_u64 << 53) as f64;
        let next = self.bench.now + mean.mul_f64(-uniform.ln());
        self.kill = Some(next).filter(|&at| at < self.start + until);
    }

    fn is_down(&self) -> bool {
        self.passed() < self.life.outage
    }

    fn join(&mut self) {
        let health = (self.life.health)(self.is_down());
        let probe = health.is_some();
        let id = self.bench.join(WorkerSettings { probe, ..worker() });
        self.worker = Some(id);
        if let Some(health) = health {
            self.bench.dispatch.health(id, health);
        }
    }

    fn work(&mut self, id: WorkerId) {
        if self.in_hand.is_empty() {
            return;
        }
        if self.is_down() {
            return self.crash();
        }
        let offer = self.in_hand.remove(0);
        if self.life.killer == Some(offer.record.identity.offset) {
            return self.crash();
        }
        self.next = self.bench.now + self.life.work;
        self.bench.ack(id, offer.delivery.0);
    }

    fn crash(&mut self) {
        self.in_hand.clear();
        self.next = self.bench.now + RESTART;
        if let Some(id) = self.worker.take() {
            self.account.crashes += 1;
            self.bench.dispatch.leave(self.bench.now, id, Departure::Crashed);
        }
    }

    fn carry_out(&mut self) {
        while let Some((_, batch)) = self.bench.dispatch.poll_any(self.bench.now) {
            if self.in_hand.is_empty() {
                self.next = self.bench.now + self.life.work;
            }
            self.in_hand.extend(batch);
        }
        for event in self.bench.events() {
            match event {
                Event::Resolved { offset, how: Resolution::Acked, .. } => {
                    self.account.acked.push(offset);
                }
                Event::DeadLetter(letter) => {
                    assert_eq!(letter.class, FailureClass::Crash);
                    self.account.convicted.push(letter.record.identity.offset);
                    self.bench.dispatch.dead_lettered(self.bench.now, letter.id);
                }
                _ => {}
            }
        }
    }
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[test]
fn a_killer_in_a_single_lane_is_found_where_the_external_system_is_said_to_be_well() {
    for seed in 0..20 {
        let account = Life { killer: Some(1), ..Life::default() }.live(seed);
        assert_eq!((&account.convicted[..], &account.acked[..]), (&[1][..], &[0, 2][..]));
        assert!(account.took < seconds(60) && account.crashes < 12, "{account:?}");
    }
}

#[test]
fn a_killer_in_a_single_lane_is_found_in_time_where_nobody_can_say() {
    for seed in 0..20 {
        let account = Life { killer: Some(1), health: blind, ..Life::default() }.live(seed);
        assert_eq!((&account.convicted[..], &account.acked[..]), (&[1][..], &[0, 2][..]));
        let aged = settings().retry.max_age_alone;
        assert!(account.took > aged && account.took < aged + seconds(60), "{account:?}");
    }
}

#[test]
fn an_outage_of_which_workers_die_convicts_nobody() {
    for (seed, outage) in [10, 60, 550].map(seconds).into_iter().enumerate() {
        for health in [honest, blind] {
            let account = Life { outage, health, ..Life::default() }.live(seed as u64);
            assert_eq!((account.convicted, &account.acked[..]), (vec![], &[0, 1, 2][..]));
        }
    }
    let account = Life { outage: seconds(3600), ..Life::default() }.live(7);
    assert_eq!(account.convicted, [], "the external system is said not to be well");
}

#[test]
fn kills_from_outside_convict_nobody_in_a_single_lane() {
    for seed in 0..300 {
        let mean = Duration::from_millis([50, 300, 1000, 3000][seed as usize % 4]);
        let work = Duration::from_millis([2, 100, 1000][seed as usize % 3]);
        let health = [honest, blind][seed as usize % 2];
        let kills = Some((mean, seconds(900)));
        let account = Life { kills, work, health, ..Life::default() }.live(seed);
        assert_eq!(account.convicted, [], "seed {seed}: {account:?}");
    }
}

#[test]
fn a_lone_record_that_is_retried_between_crashes_is_no_killer() {
    let mut bench = Bench::new(settings());
    bench.admit(Some("a"), [0]);
    for _ in 0..20 {
        for crashes in [true, false] {
            let id = bench.join(WorkerSettings { probe: true, ..worker() });
            let health = if crashes { Health::Well } else { Health::Unwell };
            bench.dispatch.health(id, health);
            let offers = bench.poll(id);
            if !crashes {
                let delivery = offers[0].delivery.0;
                bench.fail(id, delivery, Outcome::Retry { after: None });
            }
            let departure = if crashes { Departure::Crashed } else { Departure::Released };
            bench.dispatch.leave(bench.now, id, departure);
            bench.pass(LONG);
        }
    }
    assert!(!bench.events().iter().any(|event| letter(event).is_some()));
}
