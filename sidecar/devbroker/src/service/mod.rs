//! The gRPC services, each a thin layer over [`crate::broker::Broker`].

mod consumer;
mod discovery;
mod health;
mod namespaces;
mod producer;
mod schema;
mod topics;

use std::{pin::pin, sync::Arc};

use danube_core::{
    admin_proto::{
        namespace_admin_server::NamespaceAdminServer, topic_admin_server::TopicAdminServer,
    },
    proto::{
        consumer_service_server::ConsumerServiceServer,
        danube_schema::schema_registry_server::SchemaRegistryServer,
        discovery_server::DiscoveryServer, health_check_server::HealthCheckServer,
        producer_service_server::ProducerServiceServer,
    },
};
use tokio::time::Instant;
use tonic::{Status, service::Routes};

use crate::{broker::Broker, stall::Command, topic::Topic};

/// There is one broker.
const BROKER_ID: &str = "1";

/// What clients talk to.
pub(crate) fn client_routes(broker: &Arc<Broker>) -> Routes {
    let service = Service { broker: Arc::clone(broker) };
    Routes::new(ProducerServiceServer::new(service.clone()))
        .add_service(ConsumerServiceServer::new(service.clone()))
        .add_service(DiscoveryServer::new(service.clone()))
        .add_service(HealthCheckServer::new(service.clone()))
        .add_service(SchemaRegistryServer::new(service))
        .prepare()
}

/// What operators talk to.
pub(crate) fn admin_routes(broker: &Arc<Broker>) -> Routes {
    let service = Service { broker: Arc::clone(broker) };
    Routes::new(TopicAdminServer::new(service.clone()))
        .add_service(NamespaceAdminServer::new(service))
        .prepare()
}

/// Implements every service.
#[derive(Clone, Debug)]
struct Service {
    broker: Arc<Broker>,
}

impl Service {
    fn known_topic(&self, name: &str) -> Result<Arc<Topic>, Status> {
        let missing = || Status::not_found(format!("Topic '{name}' not found on this broker"));
        self.broker.topic(name).ok_or_else(missing)
    }
}

/// Sends a command to a dispatcher, waiting while it stands still with a full
/// queue. None if there is no such subscription.
async fn submit(topic: &Topic, subscription: &str, mut command: Command) -> Option<()> {
    loop {
        let hang = match topic.submit(subscription, command, Instant::now())? {
            Ok(()) => return Some(()),
            Err(hang) => hang,
        };
        let room = hang.room;
        let mut told = pin!(room.notified());
        told.as_mut().enable();
        match topic.submit(subscription, hang.command, Instant::now())? {
            Ok(()) => return Some(()),
            Err(hang) => command = hang.command,
        }
        told.await;
    }
}
