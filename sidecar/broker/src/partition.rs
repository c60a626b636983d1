//! One partition of a subscription: attached, again and again.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use danube_core::proto::StreamMessage;
use danube_sidecar_core::{ackorder::AckOrder, lease::Lease};
use danube_sidecar_store::{Store, StoreError};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tonic::Streaming;

use crate::{
    DetachReason, SubscriptionEvent, Trouble,
    acks::AckQueue,
    attachment::{Attachment, Ended},
    backoff::{AttachBackoff, Backoff},
    cluster::Cluster,
    config::{Marks, SubscriptionSpec},
    consumer::{self, Consumer},
    error::{CallError, Class},
    gaps::Gaps,
    lookup::Route,
    mark::Mark,
    queue,
    silence::Silence,
    subscribe,
};

/// What the partitions of a subscription share.
#[derive(Clone)]
pub(crate) struct Context {
    pub(crate) cluster: Cluster,
    pub(crate) store: Store,
    pub(crate) spec: Arc<SubscriptionSpec>,
    pub(crate) events: queue::Sender,
    /// Whether the partitions are to be attached. Once the sender is gone the
    /// subscription is closing.
    pub(crate) wanted: watch::Receiver<bool>,
    pub(crate) closing: CancellationToken,
}

impl Context {
    /// Returns when the partitions are to be attached, or detached; never when the
    /// subscription was dropped, because then it closes.
    pub(crate) async fn wanted(&self, attached: bool) {
        let mut wanted = self.wanted.clone();
        if wanted.wait_for(|wanted| *wanted == attached).await.is_err() {
            std::future::pending().await
        }
    }
}

/// A supervised partition. What it knows outlives its attachments.
pub(crate) struct Partition {
    pub(crate) context: Context,
    pub(crate) name: Arc<str>,
    pub(crate) acks: Arc<AckQueue>,
    pub(crate) order: AckOrder,
    pub(crate) lease: Lease,
    pub(crate) gaps: Gaps,
    pub(crate) mark: Mark,
    pub(crate) silence: Silence,
    /// Delivered on this attach, and no ack sent yet; whether one is wanted.
    pub(crate) unsent: BTreeMap<u64, bool>,
    pub(crate) consumer: Consumer,
    trouble: Option<Trouble>,
}

/// Why the partition could not be attached.
#[derive(Debug, thiserror::Error)]
enum AttachError {
    #[error(transparent)]
    Call(#[from] CallError),
    #[error("the subscription closes")]
    Closing,
}

/// An open stream.
pub(crate) struct Opened {
    pub(crate) route: Route,
    pub(crate) consumer_id: u64,
    pub(crate) stream: Streaming<StreamMessage>,
}

impl Partition {
    pub(crate) fn new(context: Context, name: Arc<str>, acks: Arc<AckQueue>) -> Self {
        let ack_timeout = context.cluster.config().ack_timeout;
        Self {
            context,
            name,
            acks,
            order: AckOrder::default(),
            lease: Lease::new(ack_timeout),
            gaps: Gaps::new(None),
            mark: Mark::new(None),
            silence: Silence::default(),
            unsent: BTreeMap::new(),
            consumer: Consumer::default(),
            trouble: None,
        }
    }

    /// Runs until the subscription closes. What happens seldom is boxed, here and below: the
    /// task of an idle partition stays small.
    pub(crate) async fn run(mut self: Box<Self>) {
        let closing = self.context.closing.clone();
        let recalled = tokio::select! {
            () = closing.cancelled() => return,
            recalled = Box::pin(self.recall_with_retries()) => recalled,
        };
        (self.consumer, self.mark, self.gaps) = recalled;
        self.attach_again_and_again(&closing).await;
        Box::pin(self.keep_exact_mark()).await;
    }

    async fn attach_again_and_again(&mut self, closing: &CancellationToken) {
        let cluster = self.context.cluster.clone();
        let mut backoff = AttachBackoff::new();
        let mut renewing = false;
        loop {
            // Until the broker knows the consumer it is attached in any case: the
            // subscription begins with that.
            if self.consumer.id().is_some() {
                tokio::select! {
                    () = closing.cancelled() => return,
                    () = self.context.wanted(true) => {}
                }
            }
            let turn = closing.run_until_cancelled(cluster.turn()).await;
            let attached = Box::pin(self.attach(renewing, closing)).await;
            drop(turn);
            let pause = match attached {
                Err(AttachError::Closing) => return,
                Err(error) => {
                    self.report(&error).await;
                    backoff.after_failure()
                }
                Ok(opened) => match self.attached(Box::new(opened)).await {
                    (Ended::Closed, _) => return,
                    (Ended::Detached(reason), lasted) => {
                        renewing = matches!(reason, DetachReason::Renewal | DetachReason::Asked);
                        backoff.after(reason, lasted)
                    }
                },
            };
            tokio::select! {
                () = closing.cancelled() => return,
                () = self.context.cluster.pause(pause) => {}
            }
        }
    }

    /// Serves one attachment, and tells how long it lasted.
    async fn attached(&mut self, opened: Box<Opened>) -> (Ended, Duration) {
        self.trouble = None;
        if self.consumer.take_anew() {
            self.gaps.rewind();
            self.mark.rewind();
            self.silence.forget();
            self.unsent.clear();
        }
        let began = Instant::now();
        let partition = Arc::clone(&self.name);
        self.acks.attached();
        self.tell(SubscriptionEvent::Attached { partition: Arc::clone(&partition) }).await;
        let ended = Attachment::new(self, opened).serve().await;
        self.order.detached();
        self.lease.detached();
        if let Ended::Detached(reason) = ended {
            if reason == DetachReason::TakenOver {
                // The other one may ack it.
                self.unsent.clear();
            }
            match reason {
                DetachReason::Renewal => tracing::debug!(%partition, "renewing"),
                DetachReason::Asked => tracing::info!(%partition, "detached as asked"),
                _ => tracing::warn!(%partition, ?reason, "detached"),
            }
            self.tell(SubscriptionEvent::Detached { partition, reason }).await;
        }
        (ended, began.elapsed())
    }

    /// Is not given up between Subscribe and ReceiveMessages: that would leave a
    /// consumer that nobody reads.
    async fn attach(
        &mut self,
        renewing: bool,
        closing: &CancellationToken,
    ) -> Result<Opened, AttachError> {
        let routing = self.context.cluster.route(&self.name);
        let route = closing.run_until_cancelled(routing).await.ok_or(AttachError::Closing)??;
        if let Some(consumer_id) = self.consumer.id() {
            let reopening = async {
                if renewing {
                    subscribe::closed(&route, consumer_id).await;
                }
                subscribe::reopen(&route, consumer_id).await
            };
            let reopened = closing.run_until_cancelled(reopening).await;
            match reopened.ok_or(AttachError::Closing)? {
                Err(error) if error.class() == Class::Missing => {}
                Err(error) => return Err(error.into()),
                Ok(stream) => {
                    if !renewing {
                        tracing::info!(partition = %self.name, consumer_id, "attached");
                    }
                    return Ok(Opened { route, consumer_id, stream });
                }
            }
        }
        self.subscribe(route).await
    }

    async fn subscribe(&mut self, route: Route) -> Result<Opened, AttachError> {
        let Context { cluster, spec, store, .. } = &self.context;
        if let Some(ack_timeout) = cluster.prepare_subscription(spec, &self.name).await {
            self.lease = Lease::new(ack_timeout);
        }
        let (spec, name) = (Arc::clone(spec), Arc::clone(&self.name));
        let registered = consumer::register(cluster, store.clone(), route.clone(), spec, name);
        let registered = registered.await?;
        let consumer_id = registered.id;
        self.consumer.registered(registered);
        // Also where the store does not have the id: nobody else reads this consumer.
        let stream = subscribe::open(&route, consumer_id).await?;
        tracing::info!(partition = %self.name, consumer_id, "subscribed");
        Ok(Opened { route, consumer_id, stream })
    }

    /// The topic is not reliable: what was delivered is nobody's concern any more.
    pub(crate) fn forget_deliveries(&mut self, now: Instant) {
        self.order.detached();
        self.lease.attached(now);
        self.unsent.clear();
    }

    async fn report(&mut self, error: &AttachError) {
        let trouble = self.trouble_of(error);
        if self.trouble.as_ref() == Some(&trouble) {
            return;
        }
        tracing::warn!(partition = %self.name, %error, "cannot attach; trying again");
        self.trouble = Some(trouble.clone());
        self.tell(SubscriptionEvent::Trouble(trouble)).await;
    }

    fn trouble_of(&self, error: &AttachError) -> Trouble {
        let topic = Arc::clone(&self.context.spec.topic);
        let detail = error.to_string();
        match error {
            AttachError::Call(error) => trouble_of(error, topic),
            AttachError::Closing => Trouble::Refused { topic, detail },
        }
    }

    /// Tells the reader. When there is none any more, the subscription is closing;
    /// when it is closing, nobody needs to read.
    pub(crate) async fn tell(&self, event: SubscriptionEvent) {
        let Context { events, closing, .. } = &self.context;
        tokio::select! {
            () = closing.cancelled() => {}
            sent = events.send(event) => if sent.is_err() {
                closing.cancel();
            },
        }
    }

    async fn recall_with_retries(&self) -> (Consumer, Mark, Gaps) {
        let mut backoff = Backoff::calls();
        loop {
            match self.recall().await {
                Ok((consumer_id, seen)) => {
                    let mark = match self.context.spec.marks {
                        Marks::Room => Mark::new(seen),
                        Marks::Caller => Mark::foreign(seen),
                    };
                    return (Consumer::recalled(consumer_id), mark, Gaps::new(seen));
                }
                Err(error) => {
                    tracing::error!(partition = %self.name, %error, "cannot begin");
                    tokio::time::sleep(backoff.pause()).await;
                }
            }
        }
    }

    async fn recall(&self) -> Result<(Option<u64>, Option<u64>), StoreError> {
        let Context { store, spec, .. } = &self.context;
        let consumer_id = store.consumer_id(&consumer::key(spec, &self.name)).await?;
        let seen = store.contiguous_offset(&spec.subscription, &self.name).await?;
        Ok((consumer_id, seen))
    }

    async fn keep_exact_mark(&self) {
        let Context { store, spec, .. } = &self.context;
        if !spec.sole_consumer || spec.marks == Marks::Caller {
            return;
        }
        // What came behind a hole was passed on to nobody, and comes again: so does the
        // hole, as a gap.
        let below = self.gaps.first_hole().and_then(|hole| hole.checked_sub(1));
        let Some(exact) = below.or_else(|| self.mark.exact()) else { return };
        let kept = store.keep_contiguous_offset(&spec.subscription, &self.name, exact).await;
        if let Err(error) = kept {
            tracing::warn!(partition = %self.name, %error, "the last offset is not kept");
        }
    }
}

/// What a failed call means to the reader of a subscription.
pub(crate) fn trouble_of(error: &CallError, topic: Arc<str>) -> Trouble {
    let detail = error.to_string();
    match error.class() {
        Class::NoNamespace => Trouble::NoNamespace { topic },
        Class::Away | Class::Moved => Trouble::BrokerAway { detail },
        Class::Missing => Trouble::TopicMissing { topic },
        Class::Refused | Class::Taken | Class::Invalid => Trouble::Refused { topic, detail },
    }
}
