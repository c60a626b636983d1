//! What sinks and sources need of Danube. The cluster gives it; tests put other brokers in its
//! place.

use std::sync::Arc;

use bytes::Bytes;
use danube_sidecar_broker::{
    BoxSubscription, CallError, Cluster, ProducerSpec, Publisher, SchemaInfo, SubscriptionSpec,
};
use danube_sidecar_core::record::SchemaRef;
use danube_sidecar_store::Store;
use futures::future::BoxFuture;

/// Where subscriptions and publishers come from.
pub trait Danube: Send + Sync {
    /// Runs a subscription. What must outlive the process is kept in `store`.
    fn subscribe(&self, spec: SubscriptionSpec, store: Store) -> BoxSubscription;

    /// Publishes to a topic.
    fn publisher(&self, spec: ProducerSpec) -> Arc<dyn Publisher>;

    /// The schema that records name; where there is no registry, plain bytes.
    ///
    /// # Errors
    /// When it cannot be read.
    fn schema(&self, reference: SchemaRef) -> BoxFuture<'_, Result<SchemaInfo, CallError>> {
        let schema = SchemaInfo {
            reference,
            subject: String::new(),
            schema_type: "bytes".to_owned(),
            definition: Bytes::new(),
        };
        Box::pin(async { Ok(schema) })
    }
}

impl Danube for Cluster {
    fn subscribe(&self, spec: SubscriptionSpec, store: Store) -> BoxSubscription {
        Cluster::subscribe(self, spec, store)
    }

    fn publisher(&self, spec: ProducerSpec) -> Arc<dyn Publisher> {
        Cluster::publisher(self, spec)
    }

    fn schema(&self, reference: SchemaRef) -> BoxFuture<'_, Result<SchemaInfo, CallError>> {
        Box::pin(Cluster::schema(self, reference))
    }
}
