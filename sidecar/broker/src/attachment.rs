//! One attachment of a partition: from its stream's opening to its end.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use danube_core::proto::{AckRequest, MsgId, StreamMessage, health_check_request::ClientType};
use futures::{FutureExt, StreamExt, future::BoxFuture, stream::FuturesUnordered};
use tonic::Streaming;

use crate::{
    DetachReason, SubscriptionEvent, Trouble,
    delivery::{self, Reliability},
    drain::Drain,
    error::CallError,
    gaps::Gap,
    lookup::Route,
    partition::{Opened, Partition},
};

/// Acks of a partition that may be under way at once. The broker's dispatcher
/// queues 32 commands.
const MOST_ACKS: usize = 16;
/// The first look at the consumer's health comes early: a stream that the broker
/// took for closed while it was opened shows so.
const FIRST_HEALTH_CHECK: Duration = Duration::from_secs(1);
const HEALTH_CHECK: Duration = Duration::from_secs(5);
/// How long outstanding acks keep a stream open that is to be closed.
const FAREWELL: Duration = Duration::from_secs(1);
/// How long another client may take to open our stream a second time.
const REOPENING: Duration = Duration::from_millis(300);

/// How an attachment ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// The subscription closes, and all acks are answered.
    Closed,
    /// It must be attached again.
    Detached(DetachReason),
}

/// An open stream with its acks, clocks and checks.
pub(crate) struct Attachment<'p> {
    partition: &'p mut Partition,
    route: Route,
    consumer_id: u64,
    stream: Streaming<StreamMessage>,
    drain: Option<Drain>,
    /// The subscription was set up anew: nothing is owed.
    anew: bool,
    /// Acks and checks under way.
    answers: FuturesUnordered<BoxFuture<'static, Answer>>,
    acks_under_way: usize,
    next_health_check: Instant,
    checking: bool,
    reliability: Reliability,
    leaving: Option<Leaving>,
}

/// What the last acks are answered for.
#[derive(Clone, Copy, Debug)]
enum Leaving {
    /// The subscription closes; its owner bounds the time.
    ToClose,
    /// It was told to detach, and does so then at the latest.
    ToDetach(Instant),
}

/// What comes back from calls that are under way.
enum Answer {
    Acked(u64, Result<(), CallError>),
    Connected(Result<bool, CallError>),
    Kept(Option<u64>),
}

impl<'p> Attachment<'p> {
    pub(crate) fn new(partition: &'p mut Partition, opened: Opened) -> Self {
        let now = now();
        let owed = std::mem::take(&mut partition.unsent).into_keys().collect();
        let settle = partition.context.cluster.config().drain_settle;
        let drain = Drain::new(now, settle, partition.mark.highest(), owed);
        partition.lease.attached(now);
        Self {
            partition,
            route: opened.route,
            consumer_id: opened.consumer_id,
            stream: opened.stream,
            drain: Some(drain),
            anew: opened.anew,
            answers: FuturesUnordered::new(),
            acks_under_way: 0,
            next_health_check: now + FIRST_HEALTH_CHECK,
            checking: false,
            reliability: Reliability::default(),
            leaving: None,
        }
    }

    /// Serves until the stream ends, or must end.
    pub(crate) async fn serve(mut self) -> Ended {
        let context = self.partition.context.clone();
        let acks = Arc::clone(&self.partition.acks);
        loop {
            self.start_calls();
            if let Some(ended) = self.left() {
                return ended;
            }
            let wake_at = tokio::time::Instant::from_std(self.next_deadline());
            let ended = tokio::select! {
                message = self.stream.message() => match message {
                    Ok(Some(message)) => {
                        self.take(message).await;
                        None
                    }
                    Ok(None) => Some(self.why_ended().await),
                    Err(status) => {
                        tracing::debug!(partition = %self.partition.name, %status, "stream broken");
                        Some(DetachReason::BrokerGone)
                    }
                },
                () = acks.filled() => {
                    self.resolve(&acks.take());
                    None
                }
                Some(answer) = self.answers.next(), if !self.answers.is_empty() => {
                    self.answered(answer)
                }
                () = tokio::time::sleep_until(wake_at) => self.on_time().await,
                () = context.closing.cancelled(), if !self.closes() => {
                    self.leaving = Some(Leaving::ToClose);
                    self.resolve(&acks.take());
                    None
                }
                () = context.wanted(false), if self.leaving.is_none() => {
                    self.leaving = Some(Leaving::ToDetach(now() + FAREWELL));
                    self.resolve(&acks.take());
                    None
                }
            };
            if let Some(reason) = ended {
                return self.end(reason);
            }
        }
    }

    fn closes(&self) -> bool {
        matches!(self.leaving, Some(Leaving::ToClose))
    }

    /// How it has ended, where it was leaving and nothing holds it any more.
    fn left(&self) -> Option<Ended> {
        match self.leaving? {
            Leaving::ToDetach(latest) if now() >= latest => Some(self.end(DetachReason::Asked)),
            _ => self.is_settled().then(|| self.end(DetachReason::Asked)),
        }
    }

    fn end(&self, reason: DetachReason) -> Ended {
        match self.leaving {
            None => Ended::Detached(reason),
            Some(Leaving::ToDetach(_)) => Ended::Detached(DetachReason::Asked),
            Some(Leaving::ToClose) => Ended::Closed,
        }
    }

    async fn take(&mut self, message: StreamMessage) {
        let record = delivery::record(&self.partition.context.spec, &self.partition.name, message);
        if self.reliability.delivered(&record.identity) {
            tracing::info!(partition = %self.partition.name, "not reliable: no acks, no repeats");
            self.partition.forget_deliveries(now());
        }
        if !self.reliability.is_none() {
            self.note_delivery(record.identity.offset);
        }
        // What comes while leaving comes again.
        if self.leaving.is_none() {
            self.partition.tell(SubscriptionEvent::Delivered(record)).await;
        }
    }

    fn note_delivery(&mut self, offset: u64) {
        let now = now();
        let partition = &mut *self.partition;
        if partition.lease.delivered(now, offset) {
            tracing::warn!(
                partition = %partition.name,
                offset,
                ack_timeout = ?partition.lease.ack_timeout(),
                "redelivered unasked: the broker's ack timeout is shorter than configured"
            );
        }
        partition.order.delivered(offset);
        partition.unsent.insert(offset, false);
        if partition.context.spec.sole_consumer {
            partition.gaps.delivered(now, offset);
            partition.mark.delivered(now, offset);
        }
        if let Some(drain) = &mut self.drain {
            drain.delivered(now, offset);
        }
    }

    fn resolve(&mut self, offsets: &[u64]) {
        if self.reliability.is_none() {
            return;
        }
        for &offset in offsets {
            self.partition.order.resolved(offset);
            if let Some(resolved) = self.partition.unsent.get_mut(&offset) {
                *resolved = true;
            }
        }
    }

    /// Starts what may be started: acks, the mark's write.
    fn start_calls(&mut self) {
        if self.partition.context.spec.sole_consumer {
            self.keep_mark();
            if !self.partition.mark.covers() {
                return;
            }
        }
        while self.acks_under_way < MOST_ACKS {
            let Some(offset) = self.partition.order.poll() else { return };
            self.partition.unsent.remove(&offset);
            self.acks_under_way += 1;
            self.answers.push(self.ack(offset));
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
        let mut consumer = route.consumer();
        async move {
            let answer = route
                .call("Ack", message, |request| async move { consumer.ack(request).await })
                .await;
            Answer::Acked(offset, answer.map(drop))
        }
        .boxed()
    }

    fn keep_mark(&mut self) {
        let Some(bound) = self.partition.mark.wanted(now()) else { return };
        let store = self.partition.context.store.clone();
        let subscription = Arc::clone(&self.partition.context.spec.subscription);
        let name = Arc::clone(&self.partition.name);
        self.answers.push(
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

    fn answered(&mut self, answer: Answer) -> Option<DetachReason> {
        match answer {
            Answer::Acked(offset, Ok(())) => {
                self.acks_under_way -= 1;
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
            Answer::Connected(connected) => {
                self.checking = false;
                self.next_health_check = now() + HEALTH_CHECK;
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
    async fn why_ended(&mut self) -> DetachReason {
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

    fn next_deadline(&self) -> Instant {
        let partition = &self.partition;
        let health = (!self.checking).then_some(self.next_health_check);
        let drain = self.drain.as_ref().map(Drain::deadline);
        let gaps = partition.gaps.deadline().filter(|_| self.drain.is_none());
        let leaving = match self.leaving {
            Some(Leaving::ToDetach(latest)) => Some(latest),
            _ => None,
        };
        let renewal = partition.lease.next_deadline();
        let deadlines = [health, drain, gaps, leaving, renewal, partition.mark.idle_at()];
        let far = now() + HEALTH_CHECK;
        deadlines.into_iter().flatten().min().unwrap_or(far)
    }

    async fn on_time(&mut self) -> Option<DetachReason> {
        let now = now();
        if self.partition.lease.due(now) {
            return Some(DetachReason::Renewal);
        }
        if !self.checking && now >= self.next_health_check {
            self.check_health();
        }
        if let Some(drain) = self.drain.take_if(|drain| now >= drain.deadline()) {
            self.drained(drain).await;
        } else if self.drain.is_none() {
            let gaps = self.partition.gaps.judge(now);
            self.tell_gaps(gaps).await;
        }
        None
    }

    fn check_health(&mut self) {
        self.checking = true;
        let (route, id) = (self.route.clone(), self.consumer_id);
        let check =
            async move { Answer::Connected(route.connected(ClientType::Consumer, id).await) };
        self.answers.push(check.boxed());
    }

    async fn drained(&mut self, drain: Drain) {
        let partition = Arc::clone(&self.partition.name);
        self.partition.order.drained();
        let gaps = self.partition.gaps.drained();
        self.tell_gaps(gaps).await;
        self.partition.tell(SubscriptionEvent::Drained { partition: partition.clone() }).await;
        let owed = drain.into_owed();
        let alone = self.partition.context.spec.sole_consumer;
        if let Some(offset) = owed.first().filter(|_| alone && !self.anew) {
            tracing::error!(
                %partition,
                offset,
                "an un-acked message does not come again: the broker's redelivery budget is \
                 spent and its failure policy applies; raise max_redelivery_count of the \
                 subscription, and create it anew if the policy is Block"
            );
            self.partition.tell(SubscriptionEvent::Trouble(Trouble::Blocked { partition })).await;
        }
    }

    async fn tell_gaps(&mut self, gaps: Vec<Gap>) {
        for Gap { first, last } in gaps {
            let partition = Arc::clone(&self.partition.name);
            tracing::error!(
                %partition,
                first,
                last,
                "the broker passed over messages: raise its max_unacked_messages, or take \
                 messages off it faster"
            );
            self.partition.tell(SubscriptionEvent::Gap { partition, first, last }).await;
        }
    }

    /// Whether no ack will be sent or answered any more, as things stand.
    fn is_settled(&self) -> bool {
        let held_back = self.drain.is_some() && self.partition.unsent.values().any(|&ready| ready);
        self.acks_under_way == 0 && self.partition.mark.covers() && !held_back
    }
}

/// Tokio's clock, so that tests can pause it.
fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}
