//! What is known of a partition's consumer at the broker.

use std::{sync::Arc, time::Duration};

use danube_sidecar_store::Store;
use tokio::sync::oneshot;

use crate::{
    cluster::Cluster,
    config::SubscriptionSpec,
    error::{CallError, Cause},
    lookup::Route,
    subscribe,
};

/// How long the store may take before a stream is opened whose consumer id it has not.
const KEEPING: Duration = Duration::from_secs(5);

/// From the moment that the broker has registered a consumer it fills its stream, and
/// blocks the topic for all producers while nobody reads that. Only the id opens the
/// stream: it is known here at once, whatever becomes of the store.
#[derive(Debug, Default)]
pub(crate) struct Consumer {
    id: Option<u64>,
    /// Whether the store has the id.
    kept: bool,
    /// Whether it was set up anew, and no attachment knows that yet.
    anew: bool,
}

/// A consumer that the broker has registered just now.
pub(crate) struct Registered {
    pub(crate) id: u64,
    pub(crate) kept: bool,
}

impl Consumer {
    /// The one that an earlier process registered, if any.
    pub(crate) fn recalled(id: Option<u64>) -> Self {
        Self { id, kept: id.is_some(), anew: false }
    }

    pub(crate) fn id(&self) -> Option<u64> {
        self.id
    }

    pub(crate) fn registered(&mut self, Registered { id, kept }: Registered) {
        self.anew |= self.id.replace(id) != Some(id);
        self.kept = kept;
    }

    /// The id, where the store does not have it.
    pub(crate) fn unkept(&self) -> Option<u64> {
        self.id.filter(|_| !self.kept)
    }

    pub(crate) fn kept(&mut self) {
        self.kept = true;
    }

    /// Whether it was set up anew since this was asked last.
    pub(crate) fn take_anew(&mut self) -> bool {
        std::mem::take(&mut self.anew)
    }
}

/// Names a consumer in the store.
pub(crate) fn key(spec: &SubscriptionSpec, partition: &str) -> String {
    let SubscriptionSpec { subscription, kind, consumer_name, .. } = spec;
    format!("{subscription}/{kind:?}/{consumer_name}@{partition}")
}

/// Registers the consumer and keeps its id. A task of its own does both, because
/// whoever waits for it may be dropped.
pub(crate) async fn register(
    cluster: &Cluster,
    store: Store,
    route: Route,
    spec: Arc<SubscriptionSpec>,
    partition: Arc<str>,
) -> Result<Registered, CallError> {
    let (reply, registered) = oneshot::channel();
    cluster.spawn(async move {
        let registered = match subscribe::register(&route, &spec, &partition).await {
            // Before the stream is opened: only this id heals a consumer whose process died.
            Ok(id) => Ok(kept(&store, &key(&spec, &partition), id).await),
            Err(error) => Err(error),
        };
        // Who waited may have been dropped: then the next one finds the id in the store.
        let _ = reply.send(registered);
    });
    registered.await.unwrap_or_else(|_| Err(CallError::new("Subscribe", Cause::Abandoned)))
}

/// One that the store does not take is kept while its stream is read: the broker has it.
async fn kept(store: &Store, key: &str, id: u64) -> Registered {
    let kept = keep(store, key, id).await;
    if let Err(problem) = &kept {
        tracing::warn!(
            consumer = key,
            problem,
            "the store does not have this consumer's id: a kill of the process now could block \
             the topic; trying again"
        );
    }
    Registered { id, kept: kept.is_ok() }
}

/// Comes back when the store has it, or with what keeps it from that.
pub(crate) async fn keep(store: &Store, key: &str, id: u64) -> Result<(), String> {
    match tokio::time::timeout(KEEPING, store.keep_consumer_id(key, id)).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err(format!("no answer within {KEEPING:?}")),
    }
}
