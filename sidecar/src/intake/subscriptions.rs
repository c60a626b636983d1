//! All subscriptions of a sink: one stream of events, acks the other way, and what
//! an operator sees of them.

use std::{
    collections::HashSet,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use danube_sidecar_broker::{BoxSubscription, Marks, SubscriptionEvent, SubscriptionSpec};
use danube_sidecar_core::hash::ByPartition;
use danube_sidecar_store::Store;
use futures::{FutureExt as _, Stream, StreamExt as _, future::join_all, stream::SelectAll};

use super::trouble::describe;
use crate::{
    config::{Subscription, SubscriptionKind},
    danube::Danube,
};

/// What an operator sees of a subscription.
#[derive(Clone, Debug, Default)]
pub struct SubscriptionView {
    /// The topic.
    pub topic: String,
    /// The subscription.
    pub subscription: String,
    /// Partitions whose streams are open.
    pub partitions_attached: usize,
    /// What is wrong with it and what to do, if anything.
    pub trouble: Option<String>,
}

/// The subscriptions of one sink.
pub(super) struct Subscriptions {
    wanted: Vec<Subscription>,
    running: Running,
    /// Which subscription a partition belongs to.
    owners: ByPartition<usize>,
    attached: HashSet<Arc<str>>,
    troubles: Vec<Option<String>>,
    /// Whether their partitions are to be attached.
    wants_attached: bool,
    gaps: u64,
}

impl Subscriptions {
    /// Starts them.
    pub(super) fn start(
        danube: &dyn Danube,
        store: &Store,
        wanted: Vec<Subscription>,
        create_topics: bool,
        marks: Marks,
    ) -> Self {
        let running = wanted.iter().enumerate().map(|(index, wanted)| {
            let spec = SubscriptionSpec {
                topic: wanted.topic.as_str().into(),
                subscription: wanted.subscription.as_str().into(),
                kind: broker_kind(wanted.kind),
                consumer_name: wanted.consumer_name.clone(),
                key_filters: wanted.key_filters.clone(),
                create_topic: create_topics,
                sole_consumer: wanted.kind != SubscriptionKind::Shared,
                marks,
            };
            Indexed { index, inner: danube.subscribe(spec, store.clone()) }
        });
        Self {
            running: running.collect(),
            owners: ByPartition::default(),
            attached: HashSet::new(),
            troubles: vec![None; wanted.len()],
            wants_attached: true,
            gaps: 0,
            wanted,
        }
    }

    /// The next event of any of them. Cancel-safe.
    pub(super) async fn next(&mut self) -> SubscriptionEvent {
        let (index, event) = self.running.next().await;
        self.note(index, &event);
        event
    }

    /// The next event, if one is there already.
    pub(super) fn next_ready(&mut self) -> Option<SubscriptionEvent> {
        self.next().now_or_never()
    }

    fn note(&mut self, index: usize, event: &SubscriptionEvent) {
        match event {
            SubscriptionEvent::Attached { partition } => {
                self.troubles[index] = None;
                self.attached.insert(Arc::clone(partition));
                *self.owners.get_or_insert_with(partition, || index) = index;
            }
            SubscriptionEvent::Detached { partition, .. } => _ = self.attached.remove(partition),
            SubscriptionEvent::Gap { first, last, .. } => {
                self.gaps = self.gaps.saturating_add(last - first + 1);
            }
            SubscriptionEvent::GapFilled { .. } => self.gaps = self.gaps.saturating_sub(1),
            SubscriptionEvent::Trouble(trouble) => self.troubles[index] = Some(describe(trouble)),
            SubscriptionEvent::Delivered(_) | SubscriptionEvent::Drained { .. } => {}
        }
    }

    /// The broker may forget a message.
    pub(super) fn ack(&mut self, partition: &Arc<str>, offset: u64) {
        let Some(&mut owner) = self.owners.get_mut(partition) else { return };
        if let Some(subscription) = self.running.get_mut(owner) {
            subscription.inner.ack(partition, offset);
        }
    }

    /// Attaches all of them, or lets go of all. Tells whether that is a change.
    pub(super) fn want_attached(&mut self, wanted: bool) -> bool {
        if self.wants_attached == wanted {
            return false;
        }
        self.wants_attached = wanted;
        self.running.for_each(|subscription| match wanted {
            true => subscription.inner.attach(),
            false => subscription.inner.detach(),
        });
        true
    }

    /// Whether they are to be attached.
    pub(super) fn wants_attached(&self) -> bool {
        self.wants_attached
    }

    /// Whether nobody else gets what this partition has for its subscription.
    pub(super) fn has_alone(&mut self, partition: &Arc<str>) -> bool {
        let owner = self.owners.get_mut(partition);
        owner.is_some_and(|&mut owner| is_exclusive(&self.wanted[owner]))
    }

    /// Whether others may get what one of them has.
    pub(super) fn are_shared(&self) -> bool {
        !self.wanted.iter().all(is_exclusive)
    }

    /// Messages that the broker passed over.
    pub(super) fn gaps(&self) -> u64 {
        self.gaps
    }

    /// What an operator sees of them.
    pub(super) fn views(&self) -> Vec<SubscriptionView> {
        let each = self.wanted.iter().zip(&self.troubles).enumerate();
        each.map(|(index, (wanted, trouble))| SubscriptionView {
            topic: wanted.topic.to_string(),
            subscription: wanted.subscription.clone(),
            partitions_attached: self.attached_to(index),
            trouble: trouble.clone(),
        })
        .collect()
    }

    fn attached_to(&self, index: usize) -> usize {
        let own = |(partition, owner): &(&Arc<str>, &usize)| {
            **owner == index && self.attached.contains(*partition)
        };
        self.owners.iter().filter(own).count()
    }

    /// Has the last acks answered, and ends them. The caller bounds the time.
    pub(super) async fn close(self) {
        let closing = self.running.into_all().into_iter();
        let closing = closing.map(|subscription| Pin::into_inner(subscription.inner).close());
        join_all(closing).await;
    }
}

fn is_exclusive(wanted: &Subscription) -> bool {
    wanted.kind == SubscriptionKind::Exclusive
}

fn broker_kind(kind: SubscriptionKind) -> danube_sidecar_broker::SubscriptionKind {
    use danube_sidecar_broker::SubscriptionKind as Broker;
    match kind {
        SubscriptionKind::Exclusive => Broker::Exclusive,
        SubscriptionKind::Shared => Broker::Shared,
        SubscriptionKind::Failover => Broker::Failover,
        SubscriptionKind::KeyShared => Broker::KeyShared,
    }
}

/// The streams. Most sinks have one: then nobody needs to choose between several, which
/// costs more than all else that is done for a message here.
enum Running {
    One(Indexed),
    Several(SelectAll<Indexed>),
}

impl Running {
    /// The next event, with its subscription. Cancel-safe.
    async fn next(&mut self) -> (usize, SubscriptionEvent) {
        let next = match self {
            Self::One(subscription) => subscription.next().await,
            Self::Several(subscriptions) => subscriptions.next().await,
        };
        // A subscription never ends by itself, but there may be none.
        match next {
            Some(next) => next,
            None => std::future::pending().await,
        }
    }

    fn get_mut(&mut self, index: usize) -> Option<&mut Indexed> {
        match self {
            Self::One(subscription) => Some(subscription),
            Self::Several(subscriptions) => subscriptions.iter_mut().find(|s| s.index == index),
        }
    }

    fn for_each(&mut self, act: impl FnMut(&mut Indexed)) {
        match self {
            Self::One(subscription) => std::iter::once(subscription).for_each(act),
            Self::Several(subscriptions) => subscriptions.iter_mut().for_each(act),
        }
    }

    fn into_all(self) -> Vec<Indexed> {
        match self {
            Self::One(subscription) => vec![subscription],
            Self::Several(subscriptions) => subscriptions.into_iter().collect(),
        }
    }
}

impl FromIterator<Indexed> for Running {
    fn from_iter<I: IntoIterator<Item = Indexed>>(subscriptions: I) -> Self {
        let mut subscriptions: Vec<Indexed> = subscriptions.into_iter().collect();
        match subscriptions.pop() {
            Some(one) if subscriptions.is_empty() => Self::One(one),
            last => Self::Several(subscriptions.into_iter().chain(last).collect()),
        }
    }
}

/// A subscription that tells which one it is.
struct Indexed {
    index: usize,
    inner: BoxSubscription,
}

impl Stream for Indexed {
    type Item = (usize, SubscriptionEvent);

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let index = self.index;
        self.inner.poll_next_unpin(context).map(|event| event.map(|event| (index, event)))
    }
}
