//! A subscription of a reliable topic: which messages are out, at whom, and what
//! follows from acks, nacks and time.
//!
//! It does no I/O and reads no clock; the topic's lock makes every call atomic.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    ops::Range,
    sync::Arc,
    time::Duration,
};

use danube_core::proto::{StreamMessage, consumer_request::SubscriptionType};
use tokio::time::Instant;

use crate::{
    config::{Config, FailurePolicy, Poison},
    consumer::{Consumer, Item, Session},
    delivery::{Delivery, Phase, Verdict},
    log::Log,
    oddities::Oddities,
    stall::Stalling,
    topic::Policy,
};

/// How many consumers that went away a subscription remembers.
const MAX_CONSUMERS: usize = 1000;

/// How a subscription treats its consumers.
#[derive(Clone, Debug)]
pub(crate) struct Rules {
    pub(crate) kind: SubscriptionType,
    pub(crate) window: usize,
    pub(crate) ack_timeout: Duration,
    pub(crate) failure: FailurePolicy,
    pub(crate) oddities: Oddities,
}

impl Rules {
    /// The broker's, unless the admin API set others.
    pub(crate) fn new(config: &Config, kind: SubscriptionType, policy: Option<&Policy>) -> Self {
        let policy = policy.cloned().unwrap_or_default();
        let defaults = || (config.failure_policy.clone(), config.ack_timeout);
        let (failure, ack_timeout) = policy.failure.unwrap_or_else(defaults);
        Self {
            kind,
            window: policy.window.unwrap_or(config.max_unacked_messages),
            ack_timeout,
            failure,
            oddities: config.oddities,
        }
    }
}

/// A subscription of one topic.
#[derive(Debug)]
pub(crate) struct Subscription {
    pub(crate) rules: Rules,
    /// The first offset that was not taken from the log yet.
    pub(crate) next: u64,
    /// Taken from the log and not acked; what is missing below `next` is acked.
    pub(crate) in_flight: BTreeMap<u64, Delivery>,
    /// Those of them to be given to a consumer.
    pub(crate) ready: BTreeSet<u64>,
    /// Key-shared: the offsets in flight by key; only the first of a key is out.
    pub(crate) keys: HashMap<Arc<str>, BTreeSet<u64>>,
    pub(crate) consumers: Vec<Consumer>,
    /// Shared: whose turn it is. Failover: who is active.
    pub(crate) turn: usize,
    pub(crate) active: Option<u64>,
    /// Nothing happens by time before this.
    due: Option<Instant>,
    pub(crate) stalling: Stalling,
    /// Reads the live channel, not the log restored from disk.
    pub(crate) live: bool,
    /// Passed over, for the audit to take.
    pub(crate) skipped: Vec<Range<u64>>,
}

/// Another consumer name holds the exclusive subscription.
#[derive(Debug)]
pub(crate) struct Held;

/// What came of Subscribe.
#[derive(Debug)]
pub(crate) struct Joined {
    pub(crate) consumer: u64,
    /// The name was known, so what it had in flight is to be delivered again.
    pub(crate) takeover: bool,
    /// Consumers whose place was taken.
    pub(crate) replaced: Vec<u64>,
}

impl Subscription {
    pub(crate) fn new(rules: Rules, next: u64) -> Self {
        Self {
            rules,
            next,
            in_flight: BTreeMap::new(),
            ready: BTreeSet::new(),
            keys: HashMap::new(),
            consumers: Vec::new(),
            turn: 0,
            active: None,
            due: None,
            stalling: Stalling::default(),
            live: true,
            skipped: Vec::new(),
        }
    }

    /// Everything below is acked.
    pub(crate) fn floor(&self) -> u64 {
        self.in_flight.first_key_value().map_or(self.next, |(offset, _)| *offset)
    }

    /// A consumer subscribes: one of that name is taken over, else it is added.
    pub(crate) fn join(
        &mut self,
        id: u64,
        name: &str,
        filters: Vec<String>,
        now: Instant,
    ) -> Result<Joined, Held> {
        if let Some(known) = self.consumers.iter_mut().find(|consumer| consumer.name == name) {
            known.reopen(now);
            known.filters = filters;
            let (consumer, until) = (known.id, known.reserved_until());
            until.into_iter().for_each(|at| self.wake_at(at));
            return Ok(Joined { consumer, takeover: true, replaced: Vec::new() });
        }
        let replaced = self.make_room()?;
        let consumer = Consumer::new(id, name.to_owned(), filters, now);
        consumer.reserved_until().into_iter().for_each(|at| self.wake_at(at));
        self.consumers.push(consumer);
        Ok(Joined { consumer: id, takeover: false, replaced })
    }

    fn make_room(&mut self) -> Result<Vec<u64>, Held> {
        if self.rules.kind == SubscriptionType::Exclusive {
            let for_ever = self.rules.oddities.exclusive_for_ever && !self.consumers.is_empty();
            if for_ever || self.consumers.iter().any(|consumer| consumer.holds_place()) {
                return Err(Held);
            }
            return Ok(self.consumers.drain(..).map(|consumer| consumer.id).collect());
        }
        if self.consumers.len() < MAX_CONSUMERS {
            return Ok(Vec::new());
        }
        let gone = self.consumers.iter().position(|consumer| !consumer.holds_place());
        Ok(gone.map(|index| self.consumers.remove(index).id).into_iter().collect())
    }

    /// A consumer opens its stream. False if it is not known.
    pub(crate) fn attach(&mut self, id: u64, session: Arc<Session>, log: &Log) -> bool {
        let Some(consumer) = self.consumer_mut(id) else { return false };
        let was_attached = consumer.is_attached();
        consumer.attach(session);
        let resends = !self.rules.oddities.takeover_resends_nothing;
        if was_attached && resends && !self.stalling.is_stalled() {
            self.release(id);
        }
        if !self.rules.oddities.reconnects_spend_budget {
            self.revive_exhausted();
        }
        self.dispatch(log);
        true
    }

    /// The stream of a consumer was closed. True if it was its current one.
    pub(crate) fn detach(&mut self, id: u64, session: &Arc<Session>) -> bool {
        let detached = self.consumer_mut(id).is_some_and(|consumer| consumer.detach(session));
        if detached && self.active == Some(id) && !self.rules.oddities.no_failover {
            self.active = None;
        }
        detached
    }

    /// What the consumer had goes back, to be delivered again. Where there is but one
    /// that reads, so does what waits for its redelivery.
    pub(crate) fn release(&mut self, id: u64) {
        if let Some(consumer) = self.consumer_mut(id) {
            consumer.queue.clear();
        }
        let sole =
            matches!(self.rules.kind, SubscriptionType::Exclusive | SubscriptionType::Failover);
        let lost =
            self.rules.kind == SubscriptionType::KeyShared && self.rules.oddities.key_shared_loses;
        let goes_back = |delivery: &Delivery| {
            delivery.is_out_at(id) || (sole && matches!(delivery.phase, Phase::Waiting { .. }))
        };
        let held: Vec<u64> =
            self.in_flight.iter().filter(|(_, d)| goes_back(d)).map(|(o, _)| *o).collect();
        for offset in held {
            if lost {
                self.finish(offset);
            } else {
                self.make_ready(offset);
            }
        }
    }

    pub(crate) fn make_ready(&mut self, offset: u64) {
        if let Some(delivery) = self.in_flight.get_mut(&offset) {
            delivery.phase = Phase::Ready;
            self.ready.insert(offset);
        }
    }

    fn revive_exhausted(&mut self) {
        for (offset, delivery) in &mut self.in_flight {
            if delivery.phase == Phase::Exhausted && self.rules.failure.poison == Poison::Block {
                delivery.revive();
                self.ready.insert(*offset);
            }
        }
    }

    pub(crate) fn ack(&mut self, offset: u64) {
        let Some(delivery) = self.in_flight.get(&offset) else { return };
        let oddities = &self.rules.oddities;
        if oddities.detached_acks_dropped && !delivery.is_out() {
            return;
        }
        if oddities.reconnects_spend_budget && delivery.phase == Phase::Exhausted {
            return;
        }
        self.finish(offset);
    }

    pub(crate) fn nack(&mut self, offset: u64, asked: Duration, reason: String, now: Instant) {
        let Some(delivery) = self.in_flight.get(&offset) else { return };
        if delivery.phase != Phase::Exhausted {
            self.fail(offset, asked, reason, now);
        }
    }

    /// It timed out or was nacked.
    fn fail(&mut self, offset: u64, asked: Duration, reason: String, now: Instant) {
        let Some(delivery) = self.in_flight.get_mut(&offset) else { return };
        self.ready.remove(&offset);
        let count_sends = self.rules.oddities.reconnects_spend_budget;
        match delivery.fail(reason, asked, &self.rules.failure, count_sends, now) {
            Verdict::Redeliver { until } => self.wake_at(until),
            Verdict::Exhausted if self.rules.failure.poison == Poison::Drop => self.finish(offset),
            Verdict::Exhausted => {}
        }
    }

    /// It is done with: acked, dropped, or published as a dead letter.
    pub(crate) fn finish(&mut self, offset: u64) {
        self.ready.remove(&offset);
        if let Some(key) = self.in_flight.remove(&offset).and_then(|delivery| delivery.key) {
            self.advance_key(&key, offset);
        }
    }

    /// The next message of the key may go out.
    fn advance_key(&mut self, key: &Arc<str>, done: u64) {
        let Some(offsets) = self.keys.get_mut(key) else { return };
        offsets.remove(&done);
        let Some(&first) = offsets.first() else {
            self.keys.remove(key);
            return;
        };
        if self.in_flight.get(&first).is_some_and(|delivery| delivery.phase == Phase::Ready) {
            self.ready.insert(first);
        }
    }

    /// What time brings: ack timeouts and redeliveries. True if anything is due.
    pub(crate) fn tick(&mut self, now: Instant) -> bool {
        if self.stalling.is_stalled() || self.due.is_none_or(|due| now < due) {
            return false;
        }
        let mut timed_out = Vec::new();
        let mut rested = Vec::new();
        self.due = None;
        for consumer in &mut self.consumers {
            consumer.expire(now);
        }
        for at in self.consumers.iter().filter_map(Consumer::reserved_until) {
            self.due = Some(self.due.map_or(at, |due| due.min(at)));
        }
        for (offset, delivery) in &self.in_flight {
            match delivery.phase {
                Phase::Sent { deadline, .. } if deadline <= now => timed_out.push(*offset),
                Phase::Waiting { until } if until <= now => rested.push(*offset),
                Phase::Sent { deadline: at, .. } | Phase::Waiting { until: at } => {
                    self.due = Some(self.due.map_or(at, |due| due.min(at)));
                }
                Phase::Ready | Phase::Queued { .. } | Phase::Exhausted => {}
            }
        }
        for offset in timed_out {
            self.fail(offset, Duration::ZERO, "ack timeout".to_owned(), now);
        }
        for offset in rested {
            self.make_ready(offset);
        }
        true
    }

    pub(crate) fn wake_at(&mut self, at: Instant) {
        self.due = Some(self.due.map_or(at, |due| due.min(at)));
    }

    /// Those to be published as dead letters.
    pub(crate) fn exhausted(&self) -> impl Iterator<Item = (u64, &Delivery)> {
        self.in_flight
            .iter()
            .filter(|(_, delivery)| delivery.phase == Phase::Exhausted)
            .map(|(offset, delivery)| (*offset, delivery))
    }

    /// Takes up to `max` messages from a consumer's queue for its stream.
    pub(crate) fn take(
        &mut self,
        id: u64,
        max: usize,
        log: &Log,
        now: Instant,
        out: &mut impl FnMut(&StreamMessage),
    ) {
        let deadline = now + self.rules.ack_timeout;
        let Some(consumer) = self.consumers.iter_mut().find(|consumer| consumer.id == id) else {
            return;
        };
        let mut taken = 0;
        while taken < max {
            let Some(item) = consumer.queue.pop_front() else { break };
            match item {
                Item::Direct(message) => out(&message),
                Item::Tracked(offset) => {
                    let Some(delivery) = self.in_flight.get_mut(&offset) else { continue };
                    if delivery.phase != (Phase::Queued { consumer: id }) {
                        continue;
                    }
                    let Some(message) = log.message(offset) else { continue };
                    delivery.sent_to(id, deadline);
                    out(message);
                }
            }
            taken += 1;
        }
        if taken > 0 {
            self.wake_at(deadline);
        }
    }

    pub(crate) fn consumer_mut(&mut self, id: u64) -> Option<&mut Consumer> {
        self.consumers.iter_mut().find(|consumer| consumer.id == id)
    }

    pub(crate) fn consumer(&self, id: u64) -> Option<&Consumer> {
        self.consumers.iter().find(|consumer| consumer.id == id)
    }

    pub(crate) fn has_open_consumers(&self) -> bool {
        self.consumers.iter().any(|consumer| consumer.open)
    }

    pub(crate) fn end_sessions(&mut self) {
        for consumer in &mut self.consumers {
            consumer.end_session();
            consumer.open = false;
        }
    }
}
