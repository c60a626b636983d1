//! The calls that an attachment has under way, and what their answers mean.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use danube_core::proto::{AckRequest, AckResponse, MsgId, health_check_request::ClientType};
use futures::{FutureExt, future::BoxFuture, stream::FuturesUnordered};

use super::{Attachment, Leaving, now};
use crate::{DetachReason, consumer, error::CallError, partition::Context};

const ACK: &str = "/danube.ConsumerService/Ack";
/// Acks of a partition that may be under way at once. The broker's dispatcher
/// queues 32 commands.
const MOST_ACKS: usize = 16;
/// The first look at the consumer's health comes early: a stream that the broker
/// took for closed while it was opened shows so.
const FIRST_HEALTH_CHECK: Duration = Duration::from_secs(1);
/// How often it is looked at then; also how soon a connection that hangs shows.
pub(super) const HEALTH_CHECK: Duration = Duration::from_secs(5);
/// Before a store that does not have the consumer's id is asked again.
const KEEP_AGAIN: Duration = Duration::from_secs(1);
/// How long another client may take to open our stream a second time.
const REOPENING: Duration = Duration::from_millis(300);

/// Acks, checks and writes under way.
pub(super) struct Calls {
    pub(super) answers: FuturesUnordered<BoxFuture<'static, Answer>>,
    pub(super) acks: usize,
    next_health_check: Instant,
    checking: bool,
    keeping: bool,
}

/// What comes back from calls that are under way.
pub(super) enum Answer {
    Acked(u64, Result<(), CallError>),
    Connected(Result<bool, CallError>),
    Kept(Option<u64>),
    ConsumerKept(bool),
}

impl Calls {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            answers: FuturesUnordered::new(),
            acks: 0,
            next_health_check: now + FIRST_HEALTH_CHECK,
            checking: false,
            keeping: false,
        }
    }

    /// When the consumer's health is looked at next.
    pub(super) fn health_check_at(&self) -> Option<Instant> {
        (!self.checking).then_some(self.next_health_check)
    }
}

impl Attachment<'_> {
    /// Starts what may be started: acks, the writes of the mark and of the consumer's id.
    pub(super) fn start_calls(&mut self) {
        self.keep_consumer();
        if self.partition.context.spec.sole_consumer {
            self.keep_mark();
            if !self.partition.mark.covers() {
                return;
            }
        }
        if matches!(self.leaving, Some(Leaving::Checking(_))) {
            return;
        }
        while self.calls.acks < MOST_ACKS {
            let Some(offset) = self.partition.order.poll() else { return };
            self.partition.unsent.remove(&offset);
            self.calls.acks += 1;
            self.calls.answers.push(self.ack(offset));
        }
    }

    fn ack(&self, offset: u64) -> BoxFuture<'static, Answer> {
        let message = AckRequest {
            request_id: 0,
            msg_id: Some(MsgId {
                producer_id: 0,
                topic_name: self.partition.name.to_string(),
                broker_addr: self.route.broker(),
                topic_offset: offset,
            }),
            subscription_name: self.partition.context.spec.subscription.to_string(),
        };
        let route = self.route.clone();
        async move {
            let answer = route.unary::<AckResponse>("Ack", ACK, &message).await;
            Answer::Acked(offset, answer.map(drop))
        }
        .boxed()
    }

    fn keep_mark(&mut self) {
        let Some(bound) = self.partition.mark.wanted(now()) else { return };
        let store = self.partition.context.store.clone();
        let subscription = Arc::clone(&self.partition.context.spec.subscription);
        let name = Arc::clone(&self.partition.name);
        self.calls.answers.push(
            async move {
                let kept = store.keep_contiguous_offset(&subscription, &name, bound).await;
                if let Err(error) = &kept {
                    tracing::warn!(partition = %name, %error, "acks wait for the store");
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
                Answer::Kept(kept.ok().map(|()| bound))
            }
            .boxed(),
        );
    }

    fn keep_consumer(&mut self) {
        let Some(id) = self.partition.consumer.unkept().filter(|_| !self.calls.keeping) else {
            return;
        };
        self.calls.keeping = true;
        let Context { store, spec, .. } = &self.partition.context;
        let (store, key) = (store.clone(), consumer::key(spec, &self.partition.name));
        self.calls.answers.push(
            async move {
                // It failed just now.
                tokio::time::sleep(KEEP_AGAIN).await;
                Answer::ConsumerKept(consumer::keep(&store, &key, id).await.is_ok())
            }
            .boxed(),
        );
    }

    pub(super) fn check_health_if_due(&mut self, now: Instant) {
        if self.calls.health_check_at().is_none_or(|at| now < at) {
            return;
        }
        self.calls.checking = true;
        let (route, id) = (self.route.clone(), self.consumer_id);
        let check =
            async move { Answer::Connected(route.connected(ClientType::Consumer, id).await) };
        self.calls.answers.push(check.boxed());
    }

    pub(super) fn answered(&mut self, answer: Answer) -> Option<DetachReason> {
        match answer {
            Answer::Acked(offset, Ok(())) => {
                self.calls.acks -= 1;
                self.partition.order.answered(offset);
                self.partition.lease.acked(offset);
                None
            }
            Answer::Acked(offset, Err(error)) => {
                // Whether it arrived is unknown: attached again, the broker repeats what
                // it still holds.
                tracing::warn!(partition = %self.partition.name, %error, "an ack failed");
                self.partition.order.failed(offset);
                Some(DetachReason::BrokerGone)
            }
            Answer::Kept(bound) => {
                self.partition.mark.kept(bound);
                None
            }
            Answer::ConsumerKept(kept) => {
                self.calls.keeping = false;
                if kept {
                    self.partition.consumer.kept();
                    tracing::info!(partition = %self.partition.name, "the consumer's id is kept");
                }
                None
            }
            Answer::Connected(connected) => {
                self.calls.checking = false;
                self.calls.next_health_check = now() + HEALTH_CHECK;
                match connected {
                    Ok(true) => None,
                    Ok(false) => Some(DetachReason::Resubscribe),
                    Err(error) => {
                        tracing::warn!(partition = %self.partition.name, %error, "no health");
                        Some(DetachReason::BrokerGone)
                    }
                }
            }
        }
    }

    /// A stream that ends by itself while the broker holds its consumer for healthy
    /// now belongs to somebody else, who may be about to open it a second time
    /// (see [`crate::subscribe::reopen`]).
    pub(super) async fn why_ended(&mut self) -> DetachReason {
        for pause in [Duration::ZERO, REOPENING] {
            tokio::time::sleep(pause).await;
            match self.route.connected(ClientType::Consumer, self.consumer_id).await {
                Ok(true) => return DetachReason::TakenOver,
                Ok(false) => {}
                Err(_) => return DetachReason::BrokerGone,
            }
        }
        DetachReason::Resubscribe
    }
}
