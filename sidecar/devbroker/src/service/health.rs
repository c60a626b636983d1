//! Whether a producer or consumer is still served.

use danube_core::proto::{
    HealthCheckRequest, HealthCheckResponse, health_check_request::ClientType,
    health_check_response::ClientStatus, health_check_server::HealthCheck,
};
use tonic::{Request, Response, Status};

use super::Service;

#[tonic::async_trait]
impl HealthCheck for Service {
    async fn health_check(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<HealthCheckResponse>, Status> {
        let request = request.into_inner();
        let served = match ClientType::try_from(request.client) {
            Ok(ClientType::Producer) => self.broker.producer_topic(request.id).is_some(),
            Ok(ClientType::Consumer) => self.serves_consumer(request.id),
            Err(_) => return Err(Status::invalid_argument("Invalid client type")),
        };
        let status = if served { ClientStatus::Ok } else { ClientStatus::Close };
        Ok(Response::new(HealthCheckResponse { status: status.into() }))
    }
}

impl Service {
    fn serves_consumer(&self, id: u64) -> bool {
        let Some(place) = self.broker.consumer(id) else { return false };
        place.topic.is_consumer_open(&place.subscription, id)
    }
}
