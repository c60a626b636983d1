//! A subscription: its partitions' events in one stream.

use std::{
    collections::HashMap,
    panic::AssertUnwindSafe,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context as TaskContext, Poll},
    time::Duration,
};

use danube_sidecar_core::hash::ByPartition;
use danube_sidecar_store::Store;
use futures::{FutureExt, Stream, future::BoxFuture};
use tokio::{
    sync::watch,
    task::{Id, JoinError, JoinSet},
};
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};

use crate::{
    BoxSubscription, Subscription, SubscriptionEvent, Trouble,
    acks::{AckQueue, SeenDeliveries},
    backoff::Backoff,
    cluster::Cluster,
    config::SubscriptionSpec,
    error::CallError,
    partition::{Context, Partition, trouble_of},
    queue,
};

type AckQueues = Arc<Mutex<HashMap<Arc<str>, Arc<AckQueue>>>>;

impl Cluster {
    /// Runs the subscription. What must outlive the process is kept in `store`.
    /// Nothing is awaited here: trouble comes as events.
    pub fn subscribe(&self, mut spec: SubscriptionSpec, store: Store) -> BoxSubscription {
        if let Some(replica) = self.config().replica.filter(|_| spec.is_shared()) {
            spec.consumer_name = format!("{}-{}", spec.consumer_name, replica.ordinal());
        }
        let (sender, events) = queue::channel();
        let queues = AckQueues::default();
        let closing = self.stop().child_token();
        let (wish, wanted) = watch::channel(true);
        let context = Context {
            cluster: self.clone(),
            store,
            spec: Arc::new(spec),
            events: sender,
            wanted,
            closing: closing.clone(),
        };
        let task = AbortOnDropHandle::new(self.spawn(supervised(context, Arc::clone(&queues))));
        Box::pin(Partitions { events, queues, seen: ByPartition::default(), wish, closing, task })
    }
}

/// All partitions of a topic, as one subscription.
struct Partitions {
    events: queue::Receiver,
    queues: AckQueues,
    seen: ByPartition<SeenDeliveries>,
    /// Whether the partitions are to be attached.
    wish: watch::Sender<bool>,
    closing: CancellationToken,
    task: AbortOnDropHandle<()>,
}

impl Stream for Partitions {
    type Item = SubscriptionEvent;

    fn poll_next(
        mut self: Pin<&mut Self>,
        cx: &mut TaskContext<'_>,
    ) -> Poll<Option<SubscriptionEvent>> {
        let event = std::task::ready!(self.events.poll_recv(cx));
        if let Some(event) = &event {
            self.note(event);
        }
        Poll::Ready(event)
    }
}

impl Partitions {
    fn note(&mut self, event: &SubscriptionEvent) {
        match event {
            SubscriptionEvent::Attached { partition } => self.seen_of(partition).attached(),
            SubscriptionEvent::Delivered(record) => {
                self.seen_of(&record.identity.partition).delivered(record.identity.offset);
            }
            _ => {}
        }
    }

    fn seen_of(&mut self, partition: &Arc<str>) -> &mut SeenDeliveries {
        let Self { seen, queues, .. } = self;
        seen.get_or_insert_with(partition, || {
            let mut queues = queues.lock().unwrap_or_else(PoisonError::into_inner);
            SeenDeliveries::new(Arc::clone(queues.entry(Arc::clone(partition)).or_default()))
        })
    }
}

impl Subscription for Partitions {
    fn ack(&mut self, partition: &Arc<str>, offset: u64) {
        if let Some(seen) = self.seen.get_mut(partition) {
            seen.ack(offset);
        }
    }

    fn detach(&mut self) {
        self.wish.send_replace(false);
    }

    fn attach(&mut self) {
        self.wish.send_replace(true);
    }

    fn close(self: Box<Self>) -> BoxFuture<'static, ()> {
        let Self { mut events, closing, task, .. } = *self;
        closing.cancel();
        events.close();
        async move {
            if let Err(error) = task.await {
                tracing::error!(%error, "a subscription's task failed");
            }
        }
        .boxed()
    }
}

/// A supervisor, and another one where it panics: its partitions end with it, and are
/// attached again.
async fn supervised(context: Context, queues: AckQueues) {
    let mut restarts = Backoff::calls();
    loop {
        let supervisor = Supervisor {
            context: context.clone(),
            queues: Arc::clone(&queues),
            running: JoinSet::new(),
            names: HashMap::new(),
            trouble: None,
            created: false,
        };
        if AssertUnwindSafe(supervisor.run()).catch_unwind().await.is_ok() {
            return;
        }
        let topic = &context.spec.topic;
        tracing::error!(%topic, "a subscription's task panicked; starting it again");
        tokio::select! {
            () = context.closing.cancelled() => return,
            () = tokio::time::sleep(restarts.pause()) => {}
        }
    }
}

/// Finds the partitions and keeps a task running for each.
struct Supervisor {
    context: Context,
    queues: AckQueues,
    running: JoinSet<()>,
    names: HashMap<Id, Arc<str>>,
    trouble: Option<Trouble>,
    /// Whether the topic was created since it was found last.
    created: bool,
}

/// What a look for the partitions of a topic has shown.
enum Found {
    /// They are there.
    Partitions,
    /// There were none, so the topic was created.
    Created,
    /// None, for now.
    Nothing,
}

impl Supervisor {
    async fn run(mut self) {
        let closing = self.context.closing.clone();
        let mut backoff = Backoff::calls();
        let mut restarts = Backoff::calls();
        loop {
            let found = tokio::select! {
                () = closing.cancelled() => break,
                found = self.discover() => found,
            };
            let pause = match found {
                Found::Partitions => {
                    backoff.reset();
                    self.context.cluster.config().discovery_interval
                }
                // What is published from now on is for this subscription.
                Found::Created => {
                    backoff.reset();
                    Duration::ZERO
                }
                Found::Nothing => backoff.pause(),
            };
            tokio::select! {
                () = closing.cancelled() => break,
                Some(ended) = self.running.join_next_with_id() => {
                    self.ended(ended);
                    // Started again at once, but never in a tight loop.
                    tokio::time::sleep(restarts.pause()).await;
                }
                () = self.context.cluster.pause(pause) => restarts.reset(),
            }
        }
        while let Some(ended) = self.running.join_next_with_id().await {
            self.ended(ended);
        }
    }

    /// Starts what is new.
    async fn discover(&mut self) -> Found {
        let topic = Arc::clone(&self.context.spec.topic);
        let cluster = self.context.cluster.clone();
        let turn = cluster.turn().await;
        // What happens seldom is boxed: the task of an idle subscription stays small.
        let found = Box::pin(cluster.partitions(&topic)).await;
        drop(turn);
        match found {
            Ok(partitions) if partitions.is_empty() => Box::pin(self.missing(topic)).await,
            Ok(partitions) => {
                (self.trouble, self.created) = (None, false);
                for partition in partitions {
                    if !self.is_ours(&partition) {
                        continue;
                    }
                    self.start(partition.into());
                }
                Found::Partitions
            }
            Err(error) => {
                self.report(trouble_of(&error, topic), Some(&error)).await;
                Found::Nothing
            }
        }
    }

    /// Whether no other sidecar takes the partition.
    fn is_ours(&self, partition: &str) -> bool {
        let Context { cluster, spec, .. } = &self.context;
        spec.is_shared() || cluster.config().replica.is_none_or(|replica| replica.owns(partition))
    }

    async fn missing(&mut self, topic: Arc<str>) -> Found {
        if !self.context.spec.create_topic {
            self.report(Trouble::TopicMissing { topic }, None).await;
            return Found::Nothing;
        }
        match self.context.cluster.create_topic(&topic).await {
            // Once: a topic that was created and is not there is looked for with pauses.
            Ok(()) if !self.created => {
                self.created = true;
                tracing::info!(%topic, "created the topic");
                Found::Created
            }
            Ok(()) => Found::Nothing,
            Err(error) => {
                self.report(trouble_of(&error, topic), Some(&error)).await;
                Found::Nothing
            }
        }
    }

    fn start(&mut self, name: Arc<str>) {
        if self.names.values().any(|running| *running == name) {
            return;
        }
        let mut queues = self.queues.lock().unwrap_or_else(PoisonError::into_inner);
        let queue = Arc::clone(queues.entry(Arc::clone(&name)).or_default());
        drop(queues);
        let partition = Partition::new(self.context.clone(), Arc::clone(&name), queue);
        let partition = Box::new(partition);
        // Tracked too: when the set is dropped its tasks end a little later.
        let running = self.context.cluster.tasks().track_future(partition.run());
        let task = self.running.spawn(running);
        self.names.insert(task.id(), name);
    }

    /// A partition's task ends when the subscription closes. If it panicked, it is
    /// started again by the discovery that follows.
    fn ended(&mut self, ended: Result<(Id, ()), JoinError>) {
        let id = match &ended {
            Ok((id, ())) => *id,
            Err(error) => error.id(),
        };
        let name = self.names.remove(&id);
        if let Err(error) = ended {
            tracing::error!(partition = ?name, %error, "a partition's task failed");
        }
    }

    async fn report(&mut self, trouble: Trouble, error: Option<&CallError>) {
        if self.trouble.as_ref() == Some(&trouble) {
            return;
        }
        let topic = &self.context.spec.topic;
        match error {
            Some(error) => tracing::warn!(%topic, %error, "cannot find the topic's partitions"),
            None => tracing::warn!(%topic, "the topic does not exist yet; waiting for it"),
        }
        self.trouble = Some(trouble.clone());
        let told = self.context.events.send(SubscriptionEvent::Trouble(trouble)).await;
        if told.is_err() {
            self.context.closing.cancel();
        }
    }
}
