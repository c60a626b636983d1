//! The admin API of namespaces.

use danube_core::admin_proto::{
    NamespaceRequest, NamespaceResponse, PolicyResponse, TopicListResponse,
    namespace_admin_server::NamespaceAdmin,
};
use tonic::{Request, Response, Status};

use super::Service;
use crate::names::namespace_of;

/// No namespace limits anything.
const POLICIES: &str = r#"{"max_producers_per_topic":0,"max_subscriptions_per_topic":0,"max_consumers_per_topic":0,"max_consumers_per_subscription":0,"max_publish_rate":0,"max_subscription_dispatch_rate":0,"max_message_size":10485760}"#;

#[tonic::async_trait]
impl NamespaceAdmin for Service {
    async fn get_namespace_topics(
        &self,
        request: Request<NamespaceRequest>,
    ) -> Result<Response<TopicListResponse>, Status> {
        let topics = self.topics_in(&request.into_inner().name).into_iter();
        // This call names them without the leading slash.
        let topics = topics.map(|name| name.trim_start_matches('/').to_owned()).collect();
        Ok(Response::new(TopicListResponse { topics }))
    }

    async fn get_namespace_policies(
        &self,
        request: Request<NamespaceRequest>,
    ) -> Result<Response<PolicyResponse>, Status> {
        let name = request.into_inner().name;
        if !self.broker.namespaces().contains(&name) {
            return Err(Status::not_found(format!(
                "Unable to retrieve polices for the namespace {name} due to Unable to retrieve the \
                 policies for the namespace"
            )));
        }
        Ok(Response::new(PolicyResponse { policies: POLICIES.to_owned() }))
    }

    async fn create_namespace(
        &self,
        request: Request<NamespaceRequest>,
    ) -> Result<Response<NamespaceResponse>, Status> {
        let name = request.into_inner().name;
        if !self.broker.namespaces().insert(name.clone()) {
            return Err(Status::not_found(format!(
                "Unable to create the namespace {name} due to Namespace {name} already exists."
            )));
        }
        self.broker.save_registry()?;
        Ok(Response::new(NamespaceResponse { success: true }))
    }

    async fn delete_namespace(
        &self,
        request: Request<NamespaceRequest>,
    ) -> Result<Response<NamespaceResponse>, Status> {
        let name = request.into_inner().name;
        let failed = |why: &str| {
            Status::not_found(format!("Unable to delete the namespace {name} due to {why}"))
        };
        if !self.topics_in(&name).is_empty() {
            return Err(failed(&format!("Can't delete and non empty namespace: {name}")));
        }
        if !self.broker.namespaces().remove(&name) {
            return Err(failed(&format!("Namespace {name} does not exists.")));
        }
        self.broker.save_registry()?;
        Ok(Response::new(NamespaceResponse { success: true }))
    }
}

impl Service {
    fn topics_in(&self, namespace: &str) -> Vec<String> {
        let topics = self.broker.topics().into_iter().map(|topic| topic.name.to_string());
        topics.filter(|name| namespace_of(name) == namespace).collect()
    }
}
