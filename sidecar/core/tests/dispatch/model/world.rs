//! The dispatch, its workers and its broker, driven step by step.

use std::time::{Duration, Instant};

use danube_sidecar_core::{
    dispatch::{
        Admission, BusyWorker, Departure, Dispatch, Event, Health, Limits, Order, RecordId,
        Settings, WorkerId, WorkerSettings,
    },
    outcome::{DeliveryId, Outcome, Results},
};

use super::{
    broker::{Partition, Said},
    history::{Answer, Step},
    naive::{Expected, Model},
};
use crate::support::{failure, record_of};

const PARTITIONS: usize = 3;

pub(crate) struct World {
    dispatch: Dispatch,
    model: Model,
    now: Instant,
    partitions: Vec<Partition>,
    /// Workers that have not left.
    workers: Vec<WorkerId>,
    letters: Vec<RecordId>,
}

impl World {
    pub(crate) fn new(rules: Settings) -> Self {
        let mut partitions: Vec<_> = (0..PARTITIONS).map(|_| Partition::default()).collect();
        partitions.iter_mut().for_each(Partition::attach);
        Self {
            dispatch: Dispatch::new(rules.clone(), 7),
            model: Model::new(rules),
            now: Instant::now(),
            partitions,
            workers: Vec::new(),
            letters: Vec::new(),
        }
    }

    /// Takes all steps. From then on everything goes well, so everything must come
    /// to its end.
    pub(crate) fn live(&mut self, steps: Vec<Step>) {
        steps.into_iter().for_each(|step| self.take(step));
        self.finish();
    }

    fn take(&mut self, step: Step) {
        match step {
            Step::Publish { partition, key, size } => {
                self.publish(partition % PARTITIONS, key, size)
            }
            Step::Deliver { partition, count } => self.deliver(partition % PARTITIONS, count),
            Step::Repeat { partition, offset } => self.repeat(partition % PARTITIONS, offset),
            Step::AnswerAcks { partition } => self.partitions[partition % PARTITIONS].answer_acks(),
            Step::Detach { partition, forget } => self.detach(partition % PARTITIONS, forget),
            Step::Attach { partition } => self.attach(partition % PARTITIONS),
            Step::Join { window, bytes, linger } => self.join(window, bytes, linger),
            Step::Resize { worker, window } => self.resize(worker, window),
            Step::Drain { worker } => self.drain(worker),
            Step::Leave { worker, crashed } => self.leave(worker, crashed),
            Step::Poll { worker } => self.poll(worker),
            Step::PollAll => self.poll_all(),
            Step::Flush => self.dispatch.flush(),
            Step::Results { worker, acked, failed } => self.results(worker, &acked, &failed),
            Step::Health { worker, health } => self.health(worker, health),
            Step::Outage { worker } => self.fail_all(worker, Answer::Retry),
            Step::Busy { worker } => self.fail_all(worker, Answer::Busy(None)),
            Step::Work { worker } => self.work(worker),
            Step::Kill { size } => self.kill(size),
            Step::Pass { millis } => self.pass(Duration::from_millis(millis)),
            Step::ConfirmLetter => self.confirm_letter(),
            Step::Resume => self.resume(),
            Step::Operate { record, order } => self.operate(record, order),
        }
        self.look_at_events();
        self.model.compare(&self.dispatch, self.now);
    }

    fn finish(&mut self) {
        while let Some(gone) = self.workers.iter().position(|&id| self.model.is_draining(id)) {
            self.leave(gone, true);
        }
        self.join(5, 9, 0);
        for worker in self.workers.clone() {
            self.dispatch.resize(worker, Some(5), Some(10_000));
            self.model.resize(worker, 5, 10_000);
        }
        for round in 0..1000 {
            if round % 10 == 9 {
                (0..PARTITIONS).for_each(|partition| self.attach(partition));
            }
            (0..PARTITIONS).for_each(|partition| self.go_on(partition));
            self.poll_all();
            self.answer_everything();
            while !self.letters.is_empty() {
                self.confirm_letter();
            }
            self.resume();
            self.look_at_events();
            let all_acked = self.partitions.iter().all(|p| p.acked.len() == p.published.len());
            if all_acked && self.model.is_settled() {
                assert_eq!(self.dispatch.unresolved(), 0);
                assert_eq!(self.dispatch.status().lanes, 0, "lanes are left behind");
                return;
            }
            self.pass(Duration::from_secs(1));
        }
        panic!("not everything was resolved: {:?}", self.dispatch.status());
    }

    fn publish(&mut self, partition: usize, key: usize, size: usize) {
        let keys = [None, Some("a"), Some("b"), Some("c")];
        let payload = if size == 11 { 5000 } else { size * 100 };
        let offset = self.partitions[partition].published.len() as u64;
        let record =
            record_of(&format!("/default/orders-part-{partition}"), offset, keys[key], payload);
        self.partitions[partition].published.push(record);
        if self.partitions[partition].is_steady() {
            self.deliver(partition, 1);
        }
    }

    fn deliver(&mut self, partition: usize, count: usize) {
        for _ in 0..count {
            match self.partitions[partition].next() {
                Some(Said::Message(offset)) => self.admit(partition, offset as usize),
                Some(Said::Drained) => {}
                None => return,
            }
        }
    }

    fn repeat(&mut self, partition: usize, offset: usize) {
        let from = &self.partitions[partition];
        if from.is_steady() && from.delivered > 0 {
            let offset = offset % from.delivered;
            self.admit(partition, offset);
        }
    }

    fn admit(&mut self, partition: usize, offset: usize) {
        let at = &self.partitions[partition];
        let record = at.published[offset].clone();
        let expected = self.model.admission(&record);
        let admission = self.dispatch.admit(self.now, record.clone());
        assert!(expected.contains(&admission), "{admission:?}, not of {expected:?}: {record:?}");
        match admission {
            Admission::Taken => self.model.taken(record),
            Admission::InHand => {}
            Admission::Resolved => {
                self.partitions[partition].sent_acks.push(record.identity.offset);
            }
        }
    }

    fn detach(&mut self, partition: usize, forget: bool) {
        self.partitions[partition].detach();
        if forget {
            let forgotten = self.dispatch.forget_unoffered(&name(partition));
            assert_eq!(forgotten, self.model.forget_unoffered(&name(partition)));
        }
    }

    fn attach(&mut self, partition: usize) {
        self.partitions[partition].detach();
        self.partitions[partition].attach();
    }

    fn join(&mut self, window: usize, bytes: usize, linger: u64) {
        if self.workers.len() == 4 {
            return;
        }
        let settings = WorkerSettings {
            window: Limits { records: window, bytes: bytes * 500 },
            batch: Limits { records: 3, bytes: 1500 },
            linger: Duration::from_millis(linger),
            probe: window % 2 == 1,
        };
        let id = self.dispatch.join(self.now, settings);
        self.model.join(id, settings, self.now);
        self.workers.push(id);
    }

    fn resize(&mut self, worker: usize, window: usize) {
        let Some(id) = self.worker(worker) else { return };
        self.dispatch.resize(id, Some(window), Some(window * 600));
        self.model.resize(id, window, window * 600);
    }

    fn drain(&mut self, worker: usize) {
        let Some(id) = self.worker(worker) else { return };
        self.dispatch.draining(id);
        self.model.drain(id);
    }

    fn leave(&mut self, worker: usize, crashed: bool) {
        let Some(id) = self.worker(worker) else { return };
        let departure = if crashed { Departure::Crashed } else { Departure::Released };
        self.dispatch.leave(self.now, id, departure);
        self.model.leave(id, departure, self.now);
        self.workers.retain(|&other| other != id);
    }

    fn poll(&mut self, worker: usize) {
        let Some(id) = self.worker(worker) else { return };
        let paced = self.paced(id);
        if let Some(batch) = self.dispatch.poll_batch(self.now, id) {
            self.model.offered(id, &batch, paced.as_ref(), self.now);
        }
    }

    fn poll_all(&mut self) {
        loop {
            let paced: Vec<_> = self.dispatch.busy_workers().collect();
            let Some((id, batch)) = self.dispatch.poll_any(self.now) else { break };
            let paced = paced.iter().find(|busy| busy.worker == id);
            self.model.offered(id, &batch, paced, self.now);
        }
        if self.dispatch.busy_workers().next().is_none() {
            self.model.nothing_is_left_out(self.now);
        }
        let wakeup = self.dispatch.next_wakeup(self.now);
        assert!(wakeup.is_none_or(|at| at > self.now), "it wants to be woken in the past");
    }

    fn results(&mut self, worker: usize, acked: &[(usize, usize)], failed: &[(usize, Answer)]) {
        let Some(id) = self.worker(worker) else { return };
        let issued = self.model.issued(id);
        if issued == 0 {
            return;
        }
        let pick = |number: usize| (number % issued) as u64 + 1;
        let range = |&(first, len): &(usize, usize)| {
            let first = pick(first);
            (DeliveryId(first), DeliveryId((first + len as u64).min(issued as u64)))
        };
        let fail = |&(number, answer): &(usize, Answer)| failure(pick(number), outcome(answer));
        let results = Results {
            acked: acked.iter().map(range).collect(),
            failures: failed.iter().map(fail).collect(),
        };
        self.answer(id, &results);
    }

    fn health(&mut self, worker: usize, health: Health) {
        let Some(id) = self.worker(worker) else { return };
        self.dispatch.health(id, health);
        self.model.health(id, health);
    }

    fn fail_all(&mut self, worker: usize, answer: Answer) {
        let Some(id) = self.worker(worker) else { return };
        let open = self.model.open_deliveries(id).into_iter();
        let fail = |delivery| failure(delivery, outcome(answer));
        self.answer(id, &Results { acked: vec![], failures: open.map(fail).collect() });
    }

    fn work(&mut self, worker: usize) {
        let Some(id) = self.worker(worker) else { return };
        let open = self.model.open_deliveries(id).into_iter();
        let acked = open.map(|delivery| (DeliveryId(delivery), DeliveryId(delivery))).collect();
        self.answer(id, &Results { acked, failures: vec![] });
    }

    /// A worker that crashes is followed by another.
    fn kill(&mut self, size: usize) {
        let kills = |id: &WorkerId| self.model.holds_size(*id, size * 100);
        for id in self.workers.clone().into_iter().filter(kills).collect::<Vec<_>>() {
            self.dispatch.leave(self.now, id, Departure::Crashed);
            self.model.leave(id, Departure::Crashed, self.now);
            self.workers.retain(|&other| other != id);
            self.join(6, 10, 0);
        }
    }

    fn answer_everything(&mut self) {
        for id in self.workers.clone() {
            let issued = self.model.issued(id) as u64;
            let acked =
                if issued == 0 { vec![] } else { vec![(DeliveryId(1), DeliveryId(issued))] };
            self.answer(id, &Results { acked, failures: vec![] });
        }
    }

    fn answer(&mut self, id: WorkerId, results: &Results) {
        self.dispatch.results(self.now, id, results).expect("ids that were issued");
        self.model.results(id, results, self.now);
        self.look_at_events();
    }

    fn pass(&mut self, time: Duration) {
        self.now += time;
        self.dispatch.advance(self.now);
        self.model.pass(self.now);
        self.look_at_events();
    }

    fn confirm_letter(&mut self) {
        let Some(id) = self.letters.pop() else { return };
        self.dispatch.dead_lettered(self.now, id);
        self.model.dead_lettered(id);
        self.look_at_events();
    }

    fn resume(&mut self) {
        self.dispatch.resume(self.now);
        self.model.resume();
    }

    fn operate(&mut self, record: usize, order: Order) {
        let failing = self.dispatch.failing(usize::MAX, |_| true);
        self.model.failing_agree(&failing);
        let Some(failing) = failing.get(record % failing.len().max(1)) else { return };
        let done = self.dispatch.operate(self.now, failing.id, order);
        self.model.operate(&failing.record, order, done.err());
        self.look_at_events();
    }

    fn go_on(&mut self, partition: usize) {
        if self.partitions[partition].stream.is_none() {
            self.attach(partition);
        }
        self.deliver(partition, usize::MAX);
        self.partitions[partition].answer_acks();
    }

    /// The broker is acked what is resolved, and only that.
    fn look_at_events(&mut self) {
        let mut seen = Vec::new();
        while let Some(event) = self.dispatch.poll_event() {
            match &event {
                Event::Resolved { partition, offset, .. } => {
                    let number = number(partition);
                    let at = &mut self.partitions[number];
                    at.sent_acks.extend(at.stream.is_some().then_some(*offset));
                }
                Event::DeadLetter(letter) => {
                    self.model.look_at_letter(letter);
                    self.letters.push(letter.id);
                    self.model.lettered(&letter.record, letter.id);
                }
                Event::GivenUp(letter) => self.model.look_at_letter(letter),
                Event::Retrying { record, not_before, .. } => {
                    self.model.waits(record, *not_before, self.now);
                }
                Event::Breaker(breaker) => self.model.breaker_is(*breaker, self.now),
                Event::Suspected { fingerprint, suspicion } => {
                    self.model.keep(*fingerprint, *suspicion);
                }
                _ => {}
            }
            seen.extend(Expected::of(&event));
        }
        self.model.expect(seen);
    }

    fn paced(&self, id: WorkerId) -> Option<BusyWorker> {
        self.dispatch.busy_workers().find(|busy| busy.worker == id)
    }

    fn worker(&self, number: usize) -> Option<WorkerId> {
        self.workers.get(number % self.workers.len().max(1)).copied()
    }
}

fn name(partition: usize) -> std::sync::Arc<str> {
    format!("/default/orders-part-{partition}").into()
}

fn number(partition: &str) -> usize {
    partition.rsplit('-').next().and_then(|digits| digits.parse().ok()).expect("a partition")
}

fn outcome(answer: Answer) -> Outcome {
    match answer {
        Answer::Retry => Outcome::Retry { after: None },
        Answer::RetryAfter(millis) => Outcome::Retry { after: Some(Duration::from_millis(millis)) },
        Answer::Busy(millis) => Outcome::Busy { after: millis.map(Duration::from_millis) },
        Answer::Reject => Outcome::Reject,
        Answer::Filtered => Outcome::Filtered,
    }
}
