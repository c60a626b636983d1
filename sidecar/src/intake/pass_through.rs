//! Pass-through: the broker keeps a record until it is resolved.
//!
//! Danube keeps a few un-acked messages for a subscription, and for a while only.
//! While nobody could be offered records, the subscriptions are let go of: then no
//! clock of the broker runs, and everything comes again with the next attach.
//!
//! They are also let go of when more came than there is memory for, until half of it
//! is free again. What waits in memory is not forgotten then, or a connector that
//! stands still would have it fetched over and over; only where others share the
//! subscription does it go back, for they can have it.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use danube_sidecar_broker::SubscriptionEvent;
use danube_sidecar_core::{
    dispatch::{Admission, Dispatch},
    record::{Fingerprint, Record},
};
use tracing::{debug, warn};

use super::{Arrival, Share, View, subscriptions::Subscriptions, unacked::Unacked};
use crate::clock::now;

/// How long what went back to a shared subscription is left to the others.
const LEFT_TO_OTHERS: Duration = Duration::from_secs(1);
/// How often an operator is told that there is no memory left.
const TELL_EVERY: Duration = Duration::from_secs(60);

/// The broker keeps the records.
pub struct PassThrough {
    subscriptions: Subscriptions,
    /// What the broker waits for.
    unacked: Unacked,
    broker_window: usize,
    buffer: Arc<Share>,
    /// Since when there is more than there is memory for; none while it fits.
    overflowed: Option<Instant>,
    /// When an operator was told so.
    told: Option<Instant>,
}

impl PassThrough {
    pub(super) fn new(
        subscriptions: Subscriptions,
        broker_window: usize,
        buffer: Arc<Share>,
    ) -> Self {
        let unacked = Unacked::default();
        Self { subscriptions, unacked, broker_window, buffer, overflowed: None, told: None }
    }

    pub(super) async fn next(&mut self) -> SubscriptionEvent {
        self.subscriptions.next().await
    }

    pub(super) fn next_ready(&mut self) -> Option<Arrival> {
        self.subscriptions.next_ready().map(Arrival::Event)
    }

    pub(super) fn arrived(&mut self, now: Instant, arrival: Arrival, dispatch: &mut Dispatch) {
        let Arrival::Event(event) = arrival else { return };
        match event {
            SubscriptionEvent::Delivered(record) => self.delivered(now, record, dispatch),
            SubscriptionEvent::Attached { partition } => self.unacked.attached(&partition),
            SubscriptionEvent::Detached { partition, .. } => {
                // Not earlier: a stream that never closed would not bring them again.
                let kept = self.overflowed.is_some() && self.subscriptions.has_alone(&partition);
                if !self.subscriptions.wants_attached() && !kept {
                    dispatch.forget_unoffered(&partition);
                }
            }
            SubscriptionEvent::Drained { .. }
            | SubscriptionEvent::Gap { .. }
            | SubscriptionEvent::GapFilled { .. }
            | SubscriptionEvent::Trouble(_) => {}
        }
    }

    fn delivered(&mut self, now: Instant, record: Arc<Record>, dispatch: &mut Dispatch) {
        let identity = &record.identity;
        let fingerprint = identity.fingerprint();
        let admission = dispatch.admit_known(now, Arc::clone(&record), fingerprint);
        if admission == Admission::Resolved {
            return self.subscriptions.ack(&identity.partition, identity.offset);
        }
        // A partition whose window is full sends nothing more until some of it is
        // resolved: no batch needs to wait for it.
        if self.unacked.delivered(identity, fingerprint) >= self.broker_window {
            dispatch.flush();
        }
    }

    pub(super) fn resolved(&mut self, partition: &Arc<str>, offset: u64, record: Fingerprint) {
        if self.unacked.resolved(partition, offset, record) {
            self.subscriptions.ack(partition, offset);
        }
    }

    pub(super) fn turn(&mut self, wanted: bool, dispatch: &mut Dispatch) {
        self.mind_the_buffer(now(), dispatch);
        let attach = wanted && self.overflowed.is_none();
        if !self.subscriptions.want_attached(attach) {
            return;
        }
        match attach {
            true => debug!("attaching the subscriptions again"),
            false => {
                debug!("letting go of the subscriptions: no clock of the broker runs meanwhile")
            }
        }
    }

    /// Lets go beyond the limit, and attaches again below half of it.
    fn mind_the_buffer(&mut self, now: Instant, dispatch: &Dispatch) {
        let held = dispatch.held();
        if self.overflowed.is_none() && self.buffer.is_full(held) {
            self.overflowed = Some(now);
            self.tell(now, held.bytes);
        } else if self.next_wakeup().is_none_or(|at| at <= now)
            && self.buffer.left(held) > self.buffer.size() / 2
        {
            self.overflowed = None;
        }
    }

    fn tell(&mut self, now: Instant, bytes: usize) {
        if self.told.is_some_and(|told| now < told + TELL_EVERY) {
            return;
        }
        self.told = Some(now);
        warn!(
            bytes,
            "the connector is slower than the broker: what waits for it leaves no room in [sidecar] max_buffer_bytes; more is fetched when half of it is free"
        );
    }

    /// When something can be done that nothing else tells of.
    pub(super) fn next_wakeup(&self) -> Option<Instant> {
        let since = self.overflowed?;
        self.subscriptions.are_shared().then_some(since + LEFT_TO_OTHERS)
    }

    pub(super) fn view(&self) -> View {
        View {
            subscriptions: self.subscriptions.views(),
            gaps: self.subscriptions.gaps(),
            detached: !self.subscriptions.wants_attached(),
            overflowed: self.overflowed.is_some(),
            window_exhausted: self.unacked.partitions_with(self.broker_window),
            inbox: None,
            trouble: None,
        }
    }

    pub(super) async fn close(self) {
        self.subscriptions.close().await;
    }
}
