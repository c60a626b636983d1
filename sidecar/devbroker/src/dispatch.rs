//! Which message goes to which consumer.

use std::sync::Arc;

use danube_core::proto::{StreamMessage, consumer_request::SubscriptionType};

use crate::{
    config::Poison,
    consumer::{Consumer, Item},
    delivery::{Delivery, Phase},
    key,
    log::Log,
    stall::Stall,
    subscription::Subscription,
};

/// What the live channel of [`crate::Oddities::live_channel_skips`] holds.
const LIVE_CHANNEL: u64 = 256;
/// Of so many messages one is overtaken, with [`crate::Oddities::live_channel_reorders`].
const OVERTAKEN: u64 = 7;
/// What a broker holds for a stream that is not read, and for a consumer without
/// one, where that blocks.
const UNREAD_STREAM: usize = 8;
const UNREAD_CONSUMER: usize = 4;
/// What a consumer of a topic that is not reliable may fall behind.
const DIRECT_QUEUE: usize = 1000;

/// Who gets a message.
enum Choice {
    Consumer(usize),
    /// Nobody now; it waits.
    Later,
    /// Nobody ever: no consumer's key filters accept it.
    Unwanted,
}

impl Subscription {
    /// Gives out what can be given out: first what is to be delivered again, then
    /// new messages while the window has room.
    pub(crate) fn dispatch(&mut self, log: &Log) {
        if self.stalling.is_stalled() || !self.has_reader() {
            return;
        }
        self.give_out_ready(log);
        if self.is_blocked() {
            return;
        }
        self.fill_window(log);
        self.stall_after_highest(log);
    }

    fn has_reader(&self) -> bool {
        self.consumers.iter().any(|consumer| self.is_reader(consumer))
    }

    /// Whether messages are given to it.
    fn is_reader(&self, consumer: &Consumer) -> bool {
        let unread = self.rules.oddities.subscribe_without_receive_blocks && consumer.open;
        consumer.is_attached() || unread
    }

    /// A spent budget under the block policy lets nothing new out.
    fn is_blocked(&self) -> bool {
        self.rules.kind != SubscriptionType::KeyShared
            && self.rules.failure.poison == Poison::Block
            && self.exhausted().next().is_some()
    }

    fn give_out_ready(&mut self, log: &Log) {
        let mut from = 0;
        while let Some(&offset) = self.ready.range(from..).next() {
            self.give_out(offset, log);
            if self.stalling.is_stalled() {
                return;
            }
            from = offset + 1;
        }
    }

    fn fill_window(&mut self, log: &Log) {
        while self.in_flight.len() < self.rules.window && !self.stalling.is_stalled() {
            let Some(offset) = self.take_from_log(log) else { return };
            if let Some(later) = self.overtaking(offset, log) {
                self.give_out(later, log);
            }
            self.give_out(offset, log);
        }
    }

    /// Whether the message stays unread until the next one comes, which overtakes it, or
    /// the next tick.
    pub(crate) fn is_overtaken(&self, offset: u64) -> bool {
        let reorders = self.live && self.rules.oddities.live_channel_reorders;
        reorders && offset.is_multiple_of(OVERTAKEN)
    }

    /// The message that comes before this one though its offset is higher, if any.
    fn overtaking(&mut self, offset: u64, log: &Log) -> Option<u64> {
        if !self.is_overtaken(offset) || self.in_flight.len() >= self.rules.window {
            return None;
        }
        let key = |offset| log.message(offset).map(|message| message.routing_key.as_ref());
        if key(offset)? == key(self.next)? {
            return None;
        }
        self.take_from_log(log)
    }

    /// The next new message is now in flight.
    fn take_from_log(&mut self, log: &Log) -> Option<u64> {
        let oldest = log.end().saturating_sub(LIVE_CHANNEL);
        let skips = self.live && self.rules.oddities.live_channel_skips;
        if skips && self.next < oldest {
            self.skipped.push(self.next..oldest);
            self.next = oldest;
        }
        let message = log.message(self.next)?;
        let offset = self.next;
        self.next += 1;
        let key = self.enter_lane(offset, message);
        self.in_flight.insert(offset, Delivery::new(key));
        Some(offset)
    }

    /// Key-shared: it is ready unless another of its key is before it.
    fn enter_lane(&mut self, offset: u64, message: &StreamMessage) -> Option<Arc<str>> {
        if self.rules.kind != SubscriptionType::KeyShared {
            self.ready.insert(offset);
            return None;
        }
        let key: Arc<str> = key::of(message).into();
        let lane = self.keys.entry(Arc::clone(&key)).or_default();
        if lane.is_empty() {
            self.ready.insert(offset);
        }
        lane.insert(offset);
        Some(key)
    }

    fn give_out(&mut self, offset: u64, log: &Log) {
        if !self.ready.contains(&offset) {
            return;
        }
        let Some(message) = log.message(offset) else { return };
        match self.choose(message) {
            Choice::Consumer(index) => self.queue(index, offset),
            Choice::Later => {}
            Choice::Unwanted => self.finish(offset),
        }
    }

    fn queue(&mut self, index: usize, offset: u64) {
        let limit = self.queue_limit(&self.consumers[index]);
        let consumer = &mut self.consumers[index];
        if consumer.queue.len() >= limit {
            self.stalling.stall(Stall::Reader);
            return;
        }
        consumer.push(Item::Tracked(offset));
        let phase = Phase::Queued { consumer: consumer.id };
        self.ready.remove(&offset);
        if let Some(delivery) = self.in_flight.get_mut(&offset) {
            delivery.phase = phase;
        }
    }

    fn queue_limit(&self, consumer: &Consumer) -> usize {
        match consumer.is_attached() {
            true if self.rules.oddities.unread_consumer_blocks => UNREAD_STREAM,
            true => usize::MAX,
            false => UNREAD_CONSUMER,
        }
    }

    /// Gives a message of a topic that is not reliable to one consumer, or to none.
    pub(crate) fn push(&mut self, message: &Arc<StreamMessage>) {
        let Choice::Consumer(index) = self.choose(message) else { return };
        let consumer = &mut self.consumers[index];
        if consumer.is_attached() && consumer.queue.len() < DIRECT_QUEUE {
            consumer.push(Item::Direct(Arc::clone(message)));
        }
    }

    fn choose(&mut self, message: &StreamMessage) -> Choice {
        let index = match self.rules.kind {
            SubscriptionType::Exclusive => self.readers().next(),
            SubscriptionType::Failover => self.choose_active(),
            SubscriptionType::Shared => self.choose_next(),
            SubscriptionType::KeyShared => return self.choose_by_key(key::of(message)),
        };
        index.map_or(Choice::Later, Choice::Consumer)
    }

    fn readers(&self) -> impl Iterator<Item = usize> {
        let indexed = self.consumers.iter().enumerate();
        indexed.filter(|(_, consumer)| self.is_reader(consumer)).map(|(index, _)| index)
    }

    /// The active consumer stays active until it detaches; then the one that has
    /// waited longest takes over.
    fn choose_active(&mut self) -> Option<usize> {
        if self.rules.oddities.no_failover {
            return self.readers().next().filter(|index| *index == 0);
        }
        let position = |id| self.consumers.iter().position(|consumer| consumer.id == id);
        let active = self.active.and_then(position);
        let index = active
            .filter(|index| self.consumers[*index].holds_place())
            .or_else(|| self.consumers.iter().position(Consumer::holds_place))?;
        self.active = Some(self.consumers[index].id);
        self.is_reader(&self.consumers[index]).then_some(index)
    }

    fn choose_next(&mut self) -> Option<usize> {
        let start = self.turn;
        let index = self.readers().find(|index| *index >= start);
        let index = index.or_else(|| self.readers().next())?;
        self.turn = index + 1;
        Some(index)
    }

    fn choose_by_key(&self, key: &str) -> Choice {
        let accepting = |index: &usize| key::accepts(&self.consumers[*index].filters, key);
        let best = (0..self.consumers.len())
            .filter(|index| self.consumers[*index].holds_place())
            .filter(accepting)
            .max_by_key(|index| key::weight(key, self.consumers[*index].id));
        match best {
            Some(index) if self.is_reader(&self.consumers[index]) => Choice::Consumer(index),
            Some(_) => Choice::Later,
            None if (0..self.consumers.len()).any(|index| accepting(&index)) => Choice::Later,
            None => Choice::Unwanted,
        }
    }

    /// [`crate::Oddities::highest_ack_blocks`]: the dispatcher takes the highest
    /// offset in flight for the last one it has read, and waits for one more.
    fn stall_after_highest(&mut self, log: &Log) {
        if !self.rules.oddities.highest_ack_blocks || self.in_flight.len() >= self.rules.window {
            return;
        }
        let Some((&highest, _)) = self.in_flight.last_key_value() else { return };
        if self.next == log.end() && highest + 1 < self.next {
            self.stalling.stall(Stall::NextPublish);
        }
    }
}
