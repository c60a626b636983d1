//! One attachment of a partition: from its stream's opening to its end.

mod calls;
mod timing;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use calls::Calls;
use danube_core::proto::StreamMessage;
use futures::StreamExt;
use tonic::Streaming;

use crate::{
    DetachReason, SubscriptionEvent,
    delivery::{self, Reliability},
    drain::{Drain, Patience},
    lookup::Route,
    partition::{Opened, Partition},
    reorder::Reorder,
};

/// How long outstanding acks keep a stream open that is to be closed.
const FAREWELL: Duration = Duration::from_secs(1);
/// A stream that is read for what is on its way has given all after such a pause.
const READ_OUT: Duration = Duration::from_millis(100);

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
    /// Came behind a hole that may still be filled, and waits for that. Bounded by the
    /// broker's window.
    reorder: Reorder,
    calls: Calls,
    reliability: Reliability,
    last_delivery: Instant,
    leaving: Option<Leaving>,
}

/// What keeps a stream open that is to be closed.
#[derive(Clone, Copy, Debug)]
enum Leaving {
    /// The subscription closes: the last acks. Its owner bounds the time.
    Closing,
    /// It was told to detach: the last acks, until then.
    Detaching(Instant),
    /// An ack timeout has or may have passed. What is on its way is read, until then,
    /// and nothing acked: a broker whose budget is spent answers acks and drops them,
    /// and only what it owes after the next attach shows that.
    Checking(Instant),
}

impl<'p> Attachment<'p> {
    pub(crate) fn new(partition: &'p mut Partition, opened: Box<Opened>) -> Self {
        let now = now();
        let owed = std::mem::take(&mut partition.unsent).into_keys().collect();
        let config = partition.context.cluster.config();
        let (settle, window) = (config.drain_settle, config.broker_window);
        let patience = Patience {
            settle,
            owed_within: settle * partition.silence.patience(),
            ack_timeout: partition.lease.ack_timeout(),
        };
        let drain = Drain::new(now, patience, partition.mark.highest(), owed);
        partition.lease.attached(now);
        // A mark that was on its way to the store ended with the attachment before.
        partition.mark.kept(None);
        Self {
            partition,
            route: opened.route,
            consumer_id: opened.consumer_id,
            stream: opened.stream,
            drain: Some(drain),
            reorder: Reorder::new(window),
            calls: Calls::new(now),
            reliability: Reliability::default(),
            last_delivery: now,
            leaving: None,
        }
    }

    /// Serves until the stream ends, or must end.
    pub(crate) async fn serve(&mut self) -> Ended {
        let context = self.partition.context.clone();
        let acks = Arc::clone(&self.partition.acks);
        loop {
            self.start_calls();
            if let Some(ended) = self.left() {
                return self.ended(ended);
            }
            let wake_at = self.next_deadline();
            let ended = tokio::select! {
                message = self.stream.message() => match message {
                    Ok(Some(message)) => {
                        self.take(message).await;
                        None
                    }
                    Ok(None) => Some(Box::pin(self.why_ended()).await),
                    Err(status) => {
                        tracing::debug!(partition = %self.partition.name, %status, "stream broken");
                        Some(DetachReason::BrokerGone)
                    }
                },
                () = acks.filled() => {
                    self.resolve(&acks.take());
                    None
                }
                Some(answer) = self.calls.answers.next(), if !self.calls.answers.is_empty() => {
                    self.answered(answer)
                }
                () = tokio::time::sleep_until(wake_at.into()) => {
                    Box::pin(self.on_time(wake_at)).await
                }
                () = context.closing.cancelled(), if !self.closes() => {
                    self.leaving = Some(Leaving::Closing);
                    self.resolve(&acks.take());
                    None
                }
                () = context.wanted(false), if self.leaving.is_none() => {
                    self.leaving = Some(Leaving::Detaching(now() + FAREWELL));
                    self.resolve(&acks.take());
                    None
                }
            };
            if let Some(reason) = ended {
                return self.ended(self.end(reason));
            }
            self.check_after_standstill(wake_at);
        }
    }

    /// What is still owed stays so for the next attachment.
    fn ended(&mut self, ended: Ended) -> Ended {
        let owed = self.drain.take().map(Drain::into_owed).unwrap_or_default();
        for offset in owed {
            self.partition.unsent.entry(offset).or_insert(false);
        }
        ended
    }

    /// A process that was stopped, or starved, for long after `wake_at` may find that
    /// the broker's ack timeout has passed.
    fn check_after_standstill(&mut self, wake_at: Instant) {
        let patience = self.partition.lease.ack_timeout() / 2;
        let now = now();
        if now < wake_at + patience || self.leaving.is_some() || self.reliability.is_none() {
            return;
        }
        tracing::warn!(
            partition = %self.partition.name,
            stood_still = ?(now - wake_at),
            "this process stood still: looking whether the subscription is well"
        );
        self.last_delivery = now;
        self.leaving = Some(Leaving::Checking(now + FAREWELL));
    }

    pub(super) fn closes(&self) -> bool {
        matches!(self.leaving, Some(Leaving::Closing))
    }

    /// How it has ended, where it was leaving and nothing holds it any more.
    fn left(&self) -> Option<Ended> {
        let held = match self.leaving? {
            Leaving::Closing => !self.is_settled(),
            Leaving::Detaching(latest) => !self.is_settled() && now() < latest,
            Leaving::Checking(latest) => now() < latest.min(self.last_delivery + READ_OUT),
        };
        (!held).then(|| self.end(DetachReason::Asked))
    }

    fn end(&self, reason: DetachReason) -> Ended {
        match self.leaving {
            None => Ended::Detached(reason),
            Some(Leaving::Checking(_)) => Ended::Detached(DetachReason::Renewal),
            Some(Leaving::Detaching(_)) => Ended::Detached(DetachReason::Asked),
            Some(Leaving::Closing) => Ended::Closed,
        }
    }

    async fn take(&mut self, message: StreamMessage) {
        let record = delivery::record(&self.partition.context.spec, &self.partition.name, message);
        let record = Arc::new(record);
        if self.reliability.delivered(&record.identity) {
            tracing::info!(partition = %self.partition.name, "not reliable: no acks, no repeats");
            self.partition.forget_deliveries(now());
        }
        let offset = record.identity.offset;
        if !self.reliability.is_none() {
            self.note_delivery(offset);
        }
        if self.leaving.is_some() {
            // It comes again, and until then nothing behind it is passed on.
            return;
        }
        if !self.partition.context.spec.sole_consumer || self.reliability.is_none() {
            return self.partition.tell(SubscriptionEvent::Delivered(record)).await;
        }
        if self.partition.gaps.delivered(offset) {
            self.tell_filled(offset).await;
        }
        self.partition.mark.delivered(self.last_delivery, offset);
        if !self.partition.gaps.precede(offset) && self.reorder.is_empty() {
            return self.partition.tell(SubscriptionEvent::Delivered(record)).await;
        }
        self.reorder.hold(self.last_delivery, record);
        self.pass_on().await;
        if self.reorder.is_full() {
            self.give_up_holes().await;
        }
    }

    /// Tells what has no hole before it (any more), in the order of the offsets.
    async fn pass_on(&mut self) {
        while let Some(record) = self.reorder.next(&self.partition.gaps) {
            self.partition.tell(SubscriptionEvent::Delivered(record)).await;
        }
    }

    /// What is missing does not come any more.
    async fn give_up_holes(&mut self) {
        self.tell_gaps().await;
        self.pass_on().await;
    }

    /// Whether what is missing may be among the repeats of this attach.
    fn awaits_repeats(&self) -> bool {
        self.drain.as_ref().is_some_and(Drain::repeats)
    }

    fn note_delivery(&mut self, offset: u64) {
        let now = now();
        self.last_delivery = now;
        let partition = &mut *self.partition;
        if partition.lease.delivered(now, offset) {
            tracing::warn!(
                partition = %partition.name,
                offset,
                ack_timeout = ?partition.lease.ack_timeout(),
                "redelivered unasked: the broker's ack timeout is shorter than configured"
            );
            self.leaving.get_or_insert(Leaving::Checking(now + FAREWELL));
        }
        partition.order.delivered(offset);
        partition.unsent.insert(offset, false);
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
}

/// Tokio's clock, so that tests can pause it.
fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}
