//! Which broker serves a topic (this one), and what partitions it has.

use danube_core::proto::{
    TopicLookupRequest, TopicLookupResponse, TopicPartitionsResponse, discovery_server::Discovery,
    topic_lookup_response::LookupType,
};
use tonic::{Request, Response, Status};

use super::Service;
use crate::{arrival::Authority, names::TopicName};

#[tonic::async_trait]
impl Discovery for Service {
    async fn topic_lookup(
        &self,
        mut request: Request<TopicLookupRequest>,
    ) -> Result<Response<TopicLookupResponse>, Status> {
        let url = self.url(request.extensions_mut().remove::<Authority>());
        let request = request.into_inner();
        let name = TopicName::parse(&request.topic)?;
        if self.broker.partitions(&name).is_empty() {
            return Err(Status::not_found(format!("Unable to find the requested topic: {name}")));
        }
        Ok(Response::new(TopicLookupResponse {
            request_id: request.request_id,
            response_type: LookupType::Connect.into(),
            connect_url: url.clone(),
            broker_url: url,
            proxy: false,
        }))
    }

    async fn topic_partitions(
        &self,
        request: Request<TopicLookupRequest>,
    ) -> Result<Response<TopicPartitionsResponse>, Status> {
        let request = request.into_inner();
        let name = TopicName::parse(&request.topic)?;
        Ok(Response::new(TopicPartitionsResponse {
            request_id: request.request_id,
            partitions: self.broker.partitions(&name),
        }))
    }
}

impl Service {
    /// How the client reaches this broker: as it just did, unless configured.
    fn url(&self, authority: Option<Authority>) -> String {
        match (&self.broker.config.advertise, authority) {
            (Some(url), _) => url.clone(),
            (None, Some(Authority(authority))) => format!("http://{authority}"),
            (None, None) => self.broker.url.clone(),
        }
    }
}
