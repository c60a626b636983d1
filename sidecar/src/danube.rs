//! What sinks and sources need of Danube. The cluster gives it; tests put other brokers in its
//! place.

use std::sync::Arc;

use danube_sidecar_broker::{BoxSubscription, Cluster, ProducerSpec, Publisher, SubscriptionSpec};
use danube_sidecar_store::Store;

/// Where subscriptions and publishers come from.
pub trait Danube: Send + Sync {
    /// Runs a subscription. What must outlive the process is kept in `store`.
    fn subscribe(&self, spec: SubscriptionSpec, store: Store) -> BoxSubscription;

    /// Publishes to a topic.
    fn publisher(&self, spec: ProducerSpec) -> Arc<dyn Publisher>;
}

impl Danube for Cluster {
    fn subscribe(&self, spec: SubscriptionSpec, store: Store) -> BoxSubscription {
        Cluster::subscribe(self, spec, store)
    }

    fn publisher(&self, spec: ProducerSpec) -> Arc<dyn Publisher> {
        Cluster::publisher(self, spec)
    }
}
