//! How records are held between the broker and their resolution: two ways behind
//! one interface.
//!
//! - [`Inbox`](inbox::Inbox): written to the local log, acked to the broker at once,
//!   and delivered from the log. On wherever there is a data directory.
//! - [`PassThrough`](pass_through::PassThrough): held by the broker until resolved.
//!
//! **Architecture invariant:** a broker ack comes only out of this room, after the
//! record is written (inbox) or resolved (pass-through).

mod arriving;
mod buffer;
mod inbox;
mod pass_through;
mod seen;
mod subscriptions;
mod trouble;
mod unacked;

use std::{sync::Arc, time::Instant};

use danube_sidecar_broker::{Marks, SubscriptionEvent};
use danube_sidecar_core::{dispatch::Dispatch, record::Fingerprint};
use danube_sidecar_store::{InboxSettings, InboxUsage, ReplayFrom, Store, StoreError};
use futures::future::BoxFuture;

pub use self::inbox::Stored;
pub use self::{
    buffer::{Buffers, Share},
    subscriptions::SubscriptionView,
};
use self::{inbox::Inbox, pass_through::PassThrough, subscriptions::Subscriptions};
use crate::{clock::now, config::Subscription, danube::Danube, metrics::SinkMetrics};

/// Arrivals taken in before the next batch is cut: batches grow with load.
const ARRIVALS_PER_TURN: usize = 1024;

/// What an intake is made of.
pub struct Parts {
    /// Name of the connector.
    pub connector: String,
    /// Where subscriptions come from.
    pub danube: Arc<dyn Danube>,
    /// What survives restarts.
    pub store: Store,
    /// The inbox; none: pass-through.
    pub inbox: Option<InboxSettings>,
    /// What to consume.
    pub subscriptions: Vec<Subscription>,
    /// Whether missing topics are created.
    pub create_topics: bool,
    /// Un-acked messages that the broker allows a subscription.
    pub broker_window: usize,
    /// What records may take in memory.
    pub buffer: Arc<Share>,
}

/// How one sink's records are held.
pub enum Intake {
    /// By the broker.
    PassThrough(Box<PassThrough>),
    /// By the local log.
    Inbox(Box<Inbox>),
}

/// Something that an intake waited for.
#[allow(clippy::large_enum_variant, reason = "most are the large one, and none is kept")]
pub enum Arrival {
    /// From the broker.
    Event(SubscriptionEvent),
    /// From the store.
    Stored(inbox::Stored),
}

/// What an operator sees of an intake.
#[derive(Clone, Debug, Default)]
pub struct View {
    /// The subscriptions.
    pub subscriptions: Vec<SubscriptionView>,
    /// Offsets that the broker passed over.
    pub gaps: u64,
    /// Whether the subscriptions are let go of for now.
    pub detached: bool,
    /// Whether more came than there is memory for.
    pub overflowed: bool,
    /// Partitions that wait until some of their records are resolved.
    pub window_exhausted: Vec<Arc<str>>,
    /// The local log, where there is one.
    pub inbox: Option<InboxUsage>,
    /// What is wrong with the store, if anything.
    pub trouble: Option<String>,
}

impl Intake {
    /// Opens the log, where there is one, and starts the subscriptions.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn open(parts: Parts) -> Result<Self, StoreError> {
        let marks = if parts.inbox.is_some() { Marks::Caller } else { Marks::Room };
        let start = || {
            let wanted = parts.subscriptions.clone();
            Subscriptions::start(&*parts.danube, &parts.store, wanted, parts.create_topics, marks)
        };
        let buffer = Arc::clone(&parts.buffer);
        let Some(settings) = &parts.inbox else {
            let (subscriptions, window) = (start(), parts.broker_window);
            return Ok(Self::PassThrough(Box::new(PassThrough::new(
                subscriptions,
                window,
                buffer,
            ))));
        };
        let log = parts.store.inbox(&parts.connector, *settings).await?;
        // The memory of repeats first: they come with the first attach.
        let seen = log.seen().await?;
        Ok(Self::Inbox(Box::new(Inbox::new(start(), log, seen, buffer))))
    }

    /// Waits for the next arrival. Cancel-safe.
    pub async fn next(&mut self) -> Arrival {
        match self {
            Self::PassThrough(intake) => Arrival::Event(intake.next().await),
            Self::Inbox(intake) => intake.next().await,
        }
    }

    /// Takes in an arrival, and what is ready behind it.
    pub fn arrived(&mut self, arrival: Arrival, dispatch: &mut Dispatch, metrics: &SinkMetrics) {
        let now = now();
        self.take_in(now, arrival, dispatch, metrics);
        // What is not taken out stays where it is, for the next turn.
        for _ in 1..ARRIVALS_PER_TURN {
            let Some(next) = self.next_ready() else { return };
            self.take_in(now, next, dispatch, metrics);
        }
    }

    fn next_ready(&mut self) -> Option<Arrival> {
        match self {
            Self::PassThrough(intake) => intake.next_ready(),
            Self::Inbox(intake) => intake.next_ready(),
        }
    }

    fn take_in(
        &mut self,
        now: Instant,
        arrival: Arrival,
        dispatch: &mut Dispatch,
        metrics: &SinkMetrics,
    ) {
        if let Arrival::Event(event) = &arrival {
            count(event, metrics);
        }
        match self {
            Self::PassThrough(intake) => intake.arrived(now, arrival, dispatch),
            Self::Inbox(intake) => intake.arrived(now, arrival, dispatch),
        }
    }

    /// A record came to its end.
    pub fn resolved(&mut self, partition: &Arc<str>, offset: u64, fingerprint: Fingerprint) {
        match self {
            Self::PassThrough(intake) => intake.resolved(partition, offset, fingerprint),
            Self::Inbox(intake) => intake.resolved(fingerprint),
        }
    }

    /// Does what has become possible. To be called after anything happened, before
    /// records are offered. `wanted`: whether anybody could be offered records.
    pub fn turn(&mut self, wanted: bool, dispatch: &mut Dispatch) {
        match self {
            Self::PassThrough(intake) => intake.turn(wanted, dispatch),
            Self::Inbox(intake) => intake.turn(dispatch),
        }
    }

    /// When a turn is due that nothing that arrives tells of.
    pub fn next_wakeup(&self) -> Option<Instant> {
        match self {
            Self::PassThrough(intake) => intake.next_wakeup(),
            Self::Inbox(_) => None,
        }
    }

    /// Whether the inbox takes no records at present: it is full, or the disk is.
    pub fn takes_nothing(&self) -> bool {
        match self {
            Self::PassThrough(_) => false,
            Self::Inbox(intake) => intake.takes_nothing(),
        }
    }

    /// Whether records may be offered now: not before the resolution of earlier ones
    /// is written, or a kill of the sidecar would deliver more again than what is
    /// unresolved at workers.
    pub fn may_offer(&self) -> bool {
        match self {
            Self::PassThrough(_) => true,
            Self::Inbox(intake) => intake.may_offer(),
        }
    }

    /// Offers resolved records that are still kept once more; tells how many. None
    /// where nothing is kept: in pass-through.
    pub fn replay(&self, from: ReplayFrom) -> Option<BoxFuture<'static, Result<u64, StoreError>>> {
        match self {
            Self::PassThrough(_) => None,
            Self::Inbox(intake) => Some(intake.replay(from)),
        }
    }

    /// What an operator sees of it.
    pub fn view(&self) -> View {
        match self {
            Self::PassThrough(intake) => intake.view(),
            Self::Inbox(intake) => intake.view(),
        }
    }

    /// Whether nothing is on its way to the store or to the broker.
    pub fn is_settled(&self) -> bool {
        match self {
            Self::PassThrough(_) => true,
            Self::Inbox(intake) => intake.is_settled(),
        }
    }

    /// Whether nothing waits in the log, and nothing is on its way there.
    pub fn is_empty(&self) -> bool {
        self.is_settled()
            && match self {
                Self::PassThrough(_) => true,
                Self::Inbox(intake) => intake.is_empty(),
            }
    }

    /// Has the last acks answered, and ends the subscriptions. The caller bounds the
    /// time.
    pub async fn close(self) {
        match self {
            Self::PassThrough(intake) => intake.close().await,
            Self::Inbox(intake) => intake.close().await,
        }
    }
}

fn count(event: &SubscriptionEvent, metrics: &SinkMetrics) {
    match event {
        SubscriptionEvent::Delivered(_) => metrics.received(),
        // The broker's room has logged it, with the offsets and the remedy.
        SubscriptionEvent::Gap { first, last, .. } => metrics.gap(last - first + 1),
        SubscriptionEvent::GapFilled { .. } => metrics.gap_filled(),
        _ => {}
    }
}
