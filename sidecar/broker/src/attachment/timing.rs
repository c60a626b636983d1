//! What time brings to an attachment, and what is told when its repeats are over.

use std::{collections::BTreeSet, sync::Arc, time::Instant};

use super::{Attachment, Leaving, READ_OUT, calls::HEALTH_CHECK, now};
use crate::{DetachReason, SubscriptionEvent, Trouble, drain::Drain, gaps::Gap, silence::Verdict};

impl Attachment<'_> {
    pub(super) fn next_deadline(&self) -> Instant {
        let leaving = match self.leaving {
            Some(Leaving::Checking(latest)) => return latest.min(self.last_delivery + READ_OUT),
            Some(Leaving::Detaching(latest)) => Some(latest),
            Some(Leaving::Closing) | None => None,
        };
        let deadlines = [
            leaving,
            self.calls.health_check_at(),
            self.drain.as_ref().map(Drain::deadline),
            self.renewal_at(),
            self.partition.mark.idle_at(),
            self.idle_renewal_at(),
            self.holes_given_up_at(),
        ];
        let far = now() + HEALTH_CHECK;
        deadlines.into_iter().flatten().min().unwrap_or(far)
    }

    /// An idle stream may be a dead one. With nothing in flight a renewal costs the
    /// subscription nothing, so it is not asked which it is.
    fn idle_renewal_at(&self) -> Option<Instant> {
        let idle = self.drain.is_none()
            && self.partition.order.outstanding() == 0
            && !self.reliability.is_none();
        let after = self.partition.context.cluster.config().idle_renewal;
        idle.then(|| self.last_delivery + after)
    }

    /// A stream that is about to be closed is not renewed for its last acks, which may
    /// wait for the store: they have nearly until the ack timeout.
    fn renewal_at(&self) -> Option<Instant> {
        let lease = &self.partition.lease;
        if self.closes() { lease.latest() } else { lease.next_deadline() }
    }

    /// While an attach repeats, its end decides.
    fn holes_given_up_at(&self) -> Option<Instant> {
        self.reorder.deadline().filter(|_| !self.awaits_repeats())
    }

    pub(super) async fn on_time(&mut self, wake_at: Instant) -> Option<DetachReason> {
        self.check_after_standstill(wake_at);
        if matches!(self.leaving, Some(Leaving::Checking(_))) {
            return None;
        }
        let now = now();
        let renewals = [self.renewal_at(), self.idle_renewal_at()];
        if renewals.into_iter().flatten().any(|at| at <= now) {
            return Some(DetachReason::Renewal);
        }
        self.check_health_if_due(now);
        if self.holes_given_up_at().is_some_and(|at| at <= now) {
            self.give_up_holes().await;
        }
        match self.drain.take_if(|drain| now >= drain.deadline()) {
            Some(drain) => self.drained(drain).await,
            None => None,
        }
    }

    /// The repeats are over: what is missing now does not come any more.
    async fn drained(&mut self, drain: Drain) -> Option<DetachReason> {
        let (new_came, owed) = (drain.new_came(), drain.into_owed());
        let partition = Arc::clone(&self.partition.name);
        self.partition.order.drained();
        self.give_up_holes().await;
        self.partition.tell(SubscriptionEvent::Drained { partition }).await;
        if !self.partition.context.spec.sole_consumer {
            // Another consumer may have got it.
            return None;
        }
        self.judge(owed, new_came).await
    }

    /// What was delivered and never acked must come again at an attach.
    async fn judge(&mut self, owed: BTreeSet<u64>, new_came: bool) -> Option<DetachReason> {
        let verdict = self.partition.silence.drained(!owed.is_empty(), new_came);
        let partition = Arc::clone(&self.partition.name);
        let offset = owed.first().copied().unwrap_or_default();
        match verdict {
            Verdict::Well => return None,
            Verdict::Gone => {
                tracing::error!(
                    %partition,
                    offset,
                    messages = owed.len(),
                    "un-acked messages do not come again: the broker's redelivery budget is spent, \
                     and its failure policy has dropped them or made them dead letters"
                );
                return None;
            }
            Verdict::Blocked => {
                tracing::error!(
                    %partition,
                    offset,
                    messages = owed.len(),
                    "un-acked messages do not come again, nor does anything else: the broker's \
                     redelivery budget is spent and its failure policy is Block. A new \
                     subscription name makes it flow again, without what was not delivered; with \
                     [danube] admin_url set before the first use of a subscription it does not \
                     come to this"
                );
                self.partition
                    .tell(SubscriptionEvent::Trouble(Trouble::Blocked { partition }))
                    .await;
            }
            Verdict::AttachAgain | Verdict::StillBlocked => {}
        }
        // Still owed, at the next attach.
        self.partition.unsent.extend(owed.into_iter().map(|offset| (offset, false)));
        (verdict == Verdict::AttachAgain).then_some(DetachReason::Silent)
    }

    pub(super) async fn tell_gaps(&mut self) {
        for Gap { first, last } in self.partition.gaps.take() {
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

    pub(super) async fn tell_filled(&mut self, offset: u64) {
        let partition = Arc::clone(&self.partition.name);
        tracing::info!(%partition, offset, "a message came after all that counted as passed over");
        self.partition.tell(SubscriptionEvent::GapFilled { partition, offset }).await;
    }

    /// Whether no ack will be sent or answered any more, as things stand.
    pub(super) fn is_settled(&self) -> bool {
        let held_back = self.drain.is_some() && self.partition.unsent.values().any(|&ready| ready);
        self.calls.acks == 0 && self.partition.mark.covers() && !held_back
    }
}
