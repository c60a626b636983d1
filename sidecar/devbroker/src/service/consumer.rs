//! Consumers: subscribe, read, ack.

use std::{sync::Arc, time::Duration};

use danube_core::proto::{
    AckRequest, AckResponse, ConsumerRequest, ConsumerResponse, MsgId, NackRequest, NackResponse,
    ReceiveRequest, consumer_request::SubscriptionType, consumer_service_server::ConsumerService,
};
use tonic::{Request, Response, Status};

use super::{Service, submit};
use crate::{names::TopicName, stall::Command, stream::Deliveries, topic::Topic};

#[tonic::async_trait]
impl ConsumerService for Service {
    type ReceiveMessagesStream = Deliveries;

    async fn subscribe(
        &self,
        request: Request<ConsumerRequest>,
    ) -> Result<Response<ConsumerResponse>, Status> {
        let request = request.into_inner();
        let name = TopicName::parse(&request.topic_name)?;
        let topic = self.broker.topic(name.as_str()).ok_or_else(|| {
            Status::not_found(format!("Unable to find the topic: {}", request.topic_name))
        })?;
        let kind = SubscriptionType::try_from(request.subscription_type).map_err(|_| {
            Status::permission_denied(format!(
                "Not able to subscribe to the topic {name} due to: there is no subscription type {}",
                request.subscription_type
            ))
        })?;
        let (subscription, consumer) = (&request.subscription, &request.consumer_name);
        let filters = request.key_filters;
        let (id, takeover) = self
            .broker
            .add_consumer(&topic, subscription, kind, consumer, filters)
            .map_err(|error| {
                Status::permission_denied(format!(
                    "Not able to subscribe to the topic {name} due to {error}"
                ))
            })?;
        if takeover {
            submit(&topic, subscription, Command::Release { consumer: id }).await;
        }
        Ok(Response::new(ConsumerResponse {
            request_id: request.request_id,
            consumer_id: id,
            consumer_name: request.consumer_name,
        }))
    }

    async fn receive_messages(
        &self,
        request: Request<ReceiveRequest>,
    ) -> Result<Response<Deliveries>, Status> {
        let id = request.into_inner().consumer_id;
        let unknown = || Status::not_found(format!("The consumer with the id {id} does not exist"));
        let place = self.broker.consumer(id).ok_or_else(unknown)?;
        Deliveries::open(place, id).map(Response::new).ok_or_else(unknown)
    }

    async fn ack(&self, request: Request<AckRequest>) -> Result<Response<AckResponse>, Status> {
        let request = request.into_inner();
        let (topic, offset) = self.message(request.msg_id)?;
        let command = Command::Ack { offset };
        match submit(&topic, &request.subscription_name, command).await {
            Some(()) => Ok(Response::new(AckResponse { request_id: request.request_id })),
            None => Err(no_subscription("acknowledging")),
        }
    }

    async fn nack(&self, request: Request<NackRequest>) -> Result<Response<NackResponse>, Status> {
        let request = request.into_inner();
        let (topic, offset) = self.message(request.msg_id)?;
        let delay = Duration::from_millis(request.delay_ms.unwrap_or_default());
        let reason = request.reason.unwrap_or_else(|| "nack".to_owned());
        let command = Command::Nack { offset, delay, reason };
        match submit(&topic, &request.subscription_name, command).await {
            Some(()) => Ok(Response::new(NackResponse { request_id: request.request_id })),
            None => Err(no_subscription("negatively acknowledging")),
        }
    }
}

impl Service {
    fn message(&self, id: Option<MsgId>) -> Result<(Arc<Topic>, u64), Status> {
        let id = id.ok_or_else(|| Status::invalid_argument("msg_id is missing"))?;
        let topic = self.broker.topic(&id.topic_name).ok_or_else(|| {
            Status::internal(format!(
                "Error acknowledging message: Topic {} not found",
                id.topic_name
            ))
        })?;
        Ok((topic, id.topic_offset))
    }
}

fn no_subscription(doing: &str) -> Status {
    Status::internal(format!("Error {doing} message: Subscription not found"))
}
